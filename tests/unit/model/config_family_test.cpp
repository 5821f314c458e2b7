// config.json of the families whose files are not laid out as Llama's: Phi-3.
#include "longgen/model/config_fields.h"
#include "longgen/model/tensors.h"
#include "tests/unit/model/test_support.h"

namespace longgen {
namespace {

/// A tiny config of a family: 96 wide, 6 heads on 2 KV heads, context 512.
Json tiny(const char* family, int64_t num_layers, const Json& fields = Json::object()) {
  Json json = tiny_json(num_layers);
  json.erase("rope_theta");
  json["model_type"] = family;
  json.update(fields);
  return json;
}

ModelConfig parse_again(const ModelConfig& config) {
  const ModelConfig again = parse_model_config(dump_model_config(config), "again");
  EXPECT_EQ(dump_model_config(again), dump_model_config(config));
  EXPECT_EQ(again.layers, config.layers);
  EXPECT_EQ(again.rope, config.rope);
  EXPECT_EQ(again.window_rope, config.window_rope);
  return again;
}

std::vector<std::string> names_of_layer(const ModelConfig& config) {
  std::vector<std::string> names;
  for (const StoredTensor& tensor : stored_tensors(config)) {
    if (tensor.place.layer == 0) names.push_back(tensor.name.substr(15) + " " + tensor.gguf_name);
  }
  return names;
}

TEST(Phi3Config, ReadsWhatTransformersAssumes) {
  Json json = tiny("phi3", 2);
  json.erase("max_position_embeddings");
  json.erase("num_key_value_heads");
  const ModelConfig config = parse_again(parse(json));
  EXPECT_EQ(config.context, 4096);
  EXPECT_EQ(config.num_kv_heads, 6);
  EXPECT_EQ(config.norm_eps, 1e-5);
  EXPECT_EQ(config.rope.base, 10000);
  EXPECT_FALSE(config.tied_embeddings || config.qkv_bias || config.qk_norm || config.post_norms);
  EXPECT_TRUE(config.layers.is_all_full());
}

TEST(Phi3Config, FilesHoldProjectionsTogether) {
  const std::vector<std::string> expected = {
      "input_layernorm.weight blk.0.attn_norm.weight",
      "self_attn.qkv_proj.weight blk.0.attn_qkv.weight",
      "self_attn.o_proj.weight blk.0.attn_output.weight",
      "post_attention_layernorm.weight blk.0.ffn_norm.weight",
      "mlp.gate_up_proj.weight blk.0.ffn_up.weight",
      "mlp.down_proj.weight blk.0.ffn_down.weight"};
  EXPECT_EQ(names_of_layer(parse(tiny("phi3", 1))), expected);
}

TEST(Phi3Config, PartsOfHeadsAreRefusedByName) {
  const Json part = {{"rope_type", "default"}, {"partial_rotary_factor", 0.75}};
  EXPECT_ERROR(parse(tiny("phi3", 2, {{"partial_rotary_factor", 0.75}})),
               "c.json: field partial_rotary_factor: expected 1");
  EXPECT_ERROR(parse(tiny("phi3", 2, {{"rope_parameters", part}})),
               "field rope_parameters.partial_rotary_factor: expected 1, found a part.");
}

TEST(Phi3Config, TheWindowIsOfAllLayers) {
  const ModelConfig config = parse_again(parse(tiny("phi3", 2, {{"sliding_window", 100}})));
  EXPECT_EQ(config.layers.window_layers(), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(config.layers.window_tokens(), 100);
  EXPECT_TRUE(parse(tiny("phi3", 2, {{"sliding_window", nullptr}})).layers.is_all_full());
  EXPECT_TRUE(parse(tiny("phi3", 2, {{"sliding_window", 512}})).layers.is_all_full());
}

TEST(Phi3Config, OtherScalingsAreRefusedByName) {
  EXPECT_ERROR(parse(tiny("phi3", 2, {{"rope_scaling", {{"type", "yarn"}, {"factor", 4}}}})),
               "transformers takes every scaling of a phi3 model for longrope.");
  EXPECT_ERROR(parse(tiny("phi3", 2, {{"rope_scaling", {{"type", "longrope"}}}})),
               "Its frequencies change with the length of the text");
}

}  // namespace
}  // namespace longgen
