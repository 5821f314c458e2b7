// config.json of the families whose files or layers are not Llama's: Phi-3, Gemma 1 and 3.
#include <cmath>

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
  EXPECT_EQ(config.pattern(config.layers.window_layers().at(0)), Pattern::window(100));
  EXPECT_TRUE(parse(tiny("phi3", 2, {{"sliding_window", nullptr}})).layers.is_all_full());
  EXPECT_TRUE(parse(tiny("phi3", 2, {{"sliding_window", 512}})).layers.is_all_full());
}

TEST(Phi3Config, OtherScalingsAreRefusedByName) {
  EXPECT_ERROR(parse(tiny("phi3", 2, {{"rope_scaling", {{"type", "yarn"}, {"factor", 4}}}})),
               "transformers takes every scaling of a phi3 model for longrope.");
  EXPECT_ERROR(parse(tiny("phi3", 2, {{"rope_scaling", {{"type", "longrope"}}}})),
               "Its frequencies change with the length of the text");
}

TEST(GemmaConfig, ReadsWhatTransformersAssumes) {
  Json json = tiny("gemma", 2, {{"num_attention_heads", 16}});
  json.erase("max_position_embeddings");
  json.erase("num_key_value_heads");
  const ModelConfig config = parse_again(parse(json));
  EXPECT_EQ(config.context, 8192);
  EXPECT_EQ(config.num_kv_heads, 16);
  EXPECT_EQ(config.head_size, 256);
  EXPECT_EQ(config.norm_eps, 1e-6);
  EXPECT_EQ(config.rope.base, 1e4);
  EXPECT_EQ(config.embedding_scale, std::sqrt(96.0));
  EXPECT_EQ(config.activation, Activation::kGeluTanh);
  EXPECT_TRUE(config.tied_embeddings && config.norms_add_one);
  EXPECT_FALSE(config.qkv_bias || config.output_bias || config.qk_norm || config.post_norms);
  EXPECT_FALSE(config.query_scalar || config.window_rope);
}

TEST(GemmaConfig, ItsOlderFilesCallTheActivationGelu) {
  const ModelConfig config = parse_again(parse(
      tiny("gemma", 2, {{"hidden_act", "gelu"}, {"hidden_activation", "gelu_pytorch_tanh"}})));
  EXPECT_EQ(config.activation, Activation::kGeluTanh);
  EXPECT_TRUE(unknown_fields(config).empty());
  EXPECT_EQ(parse_json(dump_model_config(config), "written")["hidden_act"], "gelu_pytorch_tanh");
  EXPECT_ERROR(parse(tiny("gemma", 2, {{"hidden_act", "silu"}})),
               "field hidden_act: expected \"gelu_pytorch_tanh\", found \"silu\"");
  EXPECT_ERROR(parse(tiny("gemma", 2, {{"hidden_activation", "gelu"}})),
               "field hidden_activation: expected \"gelu_pytorch_tanh\", which changes nothing, "
               "found \"gelu\"");
  EXPECT_ERROR(parse(tiny("llama", 2, {{"hidden_act", "gelu"}})),
               "field hidden_act: expected \"silu\", found \"gelu\"");
}

TEST(Gemma3Config, ReadsWhatTransformersAssumes) {
  Json json = tiny("gemma3_text", 13, {{"num_attention_heads", 8}});
  json.erase("max_position_embeddings");
  json.erase("num_key_value_heads");
  const ModelConfig config = parse_again(parse(json));
  EXPECT_EQ(config.context, 131072);
  EXPECT_EQ(config.num_kv_heads, 4);
  EXPECT_EQ(config.head_size, 256);
  EXPECT_EQ(config.query_scalar, 256);
  EXPECT_EQ(config.norm_eps, 1e-6);
  EXPECT_EQ(config.rope.base, 1e6);
  EXPECT_EQ(config.window_rope, RopeConfig{.base = 1e4});
  EXPECT_EQ(config.embedding_scale, std::sqrt(96.0));
  EXPECT_EQ(config.activation, Activation::kGeluTanh);
  EXPECT_TRUE(config.tied_embeddings && config.qk_norm && config.post_norms);
  EXPECT_TRUE(config.norms_add_one);
  EXPECT_EQ(config.layers.full_layers(), (std::vector<int64_t>{5, 11}));
  EXPECT_EQ(config.pattern(config.layers.window_layers().at(0)), Pattern::window(4096));
}

TEST(Gemma3Config, LayersWithAWindow) {
  const ModelConfig each_third =
      parse_again(parse(tiny("gemma3_text", 6, {{"sliding_window_pattern", 3}})));
  EXPECT_EQ(each_third.layers.full_layers(), (std::vector<int64_t>{2, 5}));
  // A window as long as the context stays: its layers turn at another speed.
  EXPECT_EQ(each_third.layers.window_layers().size(), 4U);
  const ModelConfig named = parse_again(parse(
      tiny("gemma3_text", 2,
           {{"layer_types", {"full_attention", "sliding_attention"}}, {"sliding_window", 64}})));
  EXPECT_EQ(named.layers.window_layers(), (std::vector<int64_t>{1}));
  EXPECT_EQ(named.pattern(named.layers.window_layers().at(0)), Pattern::window(64));
  const ModelConfig full = parse_again(
      parse(tiny("gemma3_text", 2, {{"layer_types", {"full_attention", "full_attention"}}})));
  EXPECT_TRUE(full.layers.is_all_full());
  EXPECT_ERROR(parse(tiny("gemma3_text", 2, {{"sliding_window", nullptr}})),
               "field sliding_window: expected a number, found null");
}

TEST(Gemma3Config, TwoRopesInBothSpellings) {
  const Json linear = {{"rope_type", "linear"}, {"factor", 8.0}};
  const ModelConfig old = parse_again(
      parse(tiny("gemma3_text", 2,
                 {{"rope_theta", 5e5}, {"rope_local_base_freq", 2e4}, {"rope_scaling", linear}})));
  EXPECT_EQ(old.rope.base, 5e5);
  EXPECT_EQ(old.rope.factor, 8);
  EXPECT_EQ(old.window_rope, RopeConfig{.base = 2e4});
  Json full = linear;
  full["rope_theta"] = 5e5;
  const Json both = {{"full_attention", full},
                     {"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 2e4}}}};
  const ModelConfig nested = parse(tiny("gemma3_text", 2, {{"rope_parameters", both}}));
  EXPECT_EQ(nested.rope, old.rope);
  EXPECT_EQ(nested.window_rope, old.window_rope);
  EXPECT_TRUE(unknown_fields(old).empty());
  EXPECT_ERROR(parse(tiny("gemma3_text", 2, {{"rope_parameters", linear}})),
               "rope_parameters.factor: expected full_attention and sliding_attention");
  EXPECT_ERROR(
      parse(tiny("gemma3_text", 2, {{"rope_parameters", both}, {"rope_local_base_freq", 1e4}})),
      "field rope_parameters.sliding_attention.rope_theta: expected 10000 as in field "
      "rope_local_base_freq, found 20000.");
}

TEST(Gemma3Config, WhatItCannotRunIsRefused) {
  const Json scaled = {{"sliding_attention", {{"rope_type", "linear"}, {"factor", 2}}}};
  EXPECT_ERROR(parse(tiny("gemma3_text", 2, {{"rope_parameters", scaled}})),
               "field rope_parameters: expected rope_type \"default\" in sliding_attention");
  EXPECT_ERROR(parse(tiny("gemma3_text", 2, {{"hidden_activation", "gelu"}})),
               "field hidden_activation: expected \"gelu_pytorch_tanh\", found \"gelu\"");
  EXPECT_ERROR(parse(tiny("gemma3_text", 2, {{"final_logit_softcapping", 30}})),
               "field final_logit_softcapping: expected 0");
  EXPECT_ERROR(parse(tiny("gemma3_text", 2, {{"use_bidirectional_attention", true}})),
               "field use_bidirectional_attention: expected false");
  EXPECT_ERROR(parse(tiny("gemma3", 2, {{"text_config", {{"model_type", "gemma3_text"}}}})),
               "c.json: field text_config: the model reads more than text.");
  EXPECT_EQ(parse(tiny("gemma3_text", 2, {{"query_pre_attn_scalar", 168}})).query_scalar, 168);
}

}  // namespace
}  // namespace longgen
