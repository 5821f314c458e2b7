// The list of tensors against the names and shapes of each family's files, written out.
#include "longgen/model/tensors.h"

#include <set>

#include "tests/unit/model/test_support.h"

namespace longgen {
namespace {

using Lines = std::vector<std::string>;

/// Gives "NAME | GGUF NAME [SHAPE]" of each tensor of a model directory.
Lines lines_of(const ModelConfig& config) {
  Lines lines;
  for (const StoredTensor& stored : stored_tensors(config)) {
    std::string shape;
    for (const int64_t size : stored.shape) shape += " " + std::to_string(size);
    lines.push_back(stored.name + " | " + stored.gguf_name + shape);
  }
  return lines;
}

/// Returns the config of a family with one layer: 6 heads on 2 KV heads of 16, width 96.
ModelConfig config_of(const char* family, const Json& changes = Json::object()) {
  Json json = tiny_json(1);
  json["model_type"] = family;
  json["head_dim"] = 16;
  json.update(changes);
  return parse(json);
}

TEST(Tensors, OfLlamaAndMistral) {
  const Lines expected = {
      "model.embed_tokens.weight | token_embd.weight 131 96",
      "model.layers.0.input_layernorm.weight | blk.0.attn_norm.weight 96",
      "model.layers.0.self_attn.q_proj.weight | blk.0.attn_q.weight 96 96",
      "model.layers.0.self_attn.k_proj.weight | blk.0.attn_k.weight 32 96",
      "model.layers.0.self_attn.v_proj.weight | blk.0.attn_v.weight 32 96",
      "model.layers.0.self_attn.o_proj.weight | blk.0.attn_output.weight 96 96",
      "model.layers.0.post_attention_layernorm.weight | blk.0.ffn_norm.weight 96",
      "model.layers.0.mlp.gate_proj.weight | blk.0.ffn_gate.weight 80 96",
      "model.layers.0.mlp.up_proj.weight | blk.0.ffn_up.weight 80 96",
      "model.layers.0.mlp.down_proj.weight | blk.0.ffn_down.weight 96 80",
      "model.norm.weight | output_norm.weight 96",
      "lm_head.weight | output.weight 131 96",
  };
  EXPECT_EQ(lines_of(config_of("llama")), expected);
  EXPECT_EQ(lines_of(config_of("mistral", {{"sliding_window", nullptr}})), expected);
}

TEST(Tensors, OfALlamaWithEveryBias) {
  const Lines expected = {
      "model.embed_tokens.weight | token_embd.weight 131 96",
      "model.layers.0.input_layernorm.weight | blk.0.attn_norm.weight 96",
      "model.layers.0.self_attn.q_proj.weight | blk.0.attn_q.weight 96 96",
      "model.layers.0.self_attn.q_proj.bias | blk.0.attn_q.bias 96",
      "model.layers.0.self_attn.k_proj.weight | blk.0.attn_k.weight 32 96",
      "model.layers.0.self_attn.k_proj.bias | blk.0.attn_k.bias 32",
      "model.layers.0.self_attn.v_proj.weight | blk.0.attn_v.weight 32 96",
      "model.layers.0.self_attn.v_proj.bias | blk.0.attn_v.bias 32",
      "model.layers.0.self_attn.o_proj.weight | blk.0.attn_output.weight 96 96",
      "model.layers.0.self_attn.o_proj.bias | blk.0.attn_output.bias 96",
      "model.layers.0.post_attention_layernorm.weight | blk.0.ffn_norm.weight 96",
      "model.layers.0.mlp.gate_proj.weight | blk.0.ffn_gate.weight 80 96",
      "model.layers.0.mlp.gate_proj.bias | blk.0.ffn_gate.bias 80",
      "model.layers.0.mlp.up_proj.weight | blk.0.ffn_up.weight 80 96",
      "model.layers.0.mlp.up_proj.bias | blk.0.ffn_up.bias 80",
      "model.layers.0.mlp.down_proj.weight | blk.0.ffn_down.weight 96 80",
      "model.layers.0.mlp.down_proj.bias | blk.0.ffn_down.bias 96",
      "model.norm.weight | output_norm.weight 96",
  };
  EXPECT_EQ(
      lines_of(config_of(
          "llama", {{"attention_bias", true}, {"mlp_bias", true}, {"tie_word_embeddings", true}})),
      expected);
}

TEST(Tensors, OfQwen2) {
  const Lines expected = {
      "model.embed_tokens.weight | token_embd.weight 131 96",
      "model.layers.0.input_layernorm.weight | blk.0.attn_norm.weight 96",
      "model.layers.0.self_attn.q_proj.weight | blk.0.attn_q.weight 96 96",
      "model.layers.0.self_attn.q_proj.bias | blk.0.attn_q.bias 96",
      "model.layers.0.self_attn.k_proj.weight | blk.0.attn_k.weight 32 96",
      "model.layers.0.self_attn.k_proj.bias | blk.0.attn_k.bias 32",
      "model.layers.0.self_attn.v_proj.weight | blk.0.attn_v.weight 32 96",
      "model.layers.0.self_attn.v_proj.bias | blk.0.attn_v.bias 32",
      "model.layers.0.self_attn.o_proj.weight | blk.0.attn_output.weight 96 96",
      "model.layers.0.post_attention_layernorm.weight | blk.0.ffn_norm.weight 96",
      "model.layers.0.mlp.gate_proj.weight | blk.0.ffn_gate.weight 80 96",
      "model.layers.0.mlp.up_proj.weight | blk.0.ffn_up.weight 80 96",
      "model.layers.0.mlp.down_proj.weight | blk.0.ffn_down.weight 96 80",
      "model.norm.weight | output_norm.weight 96",
      "lm_head.weight | output.weight 131 96",
  };
  EXPECT_EQ(lines_of(config_of("qwen2")), expected);
}

TEST(Tensors, OfQwen3TheNormsOfHeadsStandBehindTheOutput) {
  const Lines expected = {
      "model.embed_tokens.weight | token_embd.weight 131 96",
      "model.layers.0.input_layernorm.weight | blk.0.attn_norm.weight 96",
      "model.layers.0.self_attn.q_proj.weight | blk.0.attn_q.weight 96 96",
      "model.layers.0.self_attn.k_proj.weight | blk.0.attn_k.weight 32 96",
      "model.layers.0.self_attn.v_proj.weight | blk.0.attn_v.weight 32 96",
      "model.layers.0.self_attn.o_proj.weight | blk.0.attn_output.weight 96 96",
      "model.layers.0.self_attn.q_norm.weight | blk.0.attn_q_norm.weight 16",
      "model.layers.0.self_attn.k_norm.weight | blk.0.attn_k_norm.weight 16",
      "model.layers.0.post_attention_layernorm.weight | blk.0.ffn_norm.weight 96",
      "model.layers.0.mlp.gate_proj.weight | blk.0.ffn_gate.weight 80 96",
      "model.layers.0.mlp.up_proj.weight | blk.0.ffn_up.weight 80 96",
      "model.layers.0.mlp.down_proj.weight | blk.0.ffn_down.weight 96 80",
      "model.norm.weight | output_norm.weight 96",
      "lm_head.weight | output.weight 131 96",
  };
  EXPECT_EQ(lines_of(config_of("qwen3")), expected);
}

TEST(Tensors, FusedProjectionsAreOneTensorInFiles) {
  ModelConfig config = config_of("llama");
  config.fused_projections = true;
  const Lines expected = {
      "model.embed_tokens.weight | token_embd.weight 131 96",
      "model.layers.0.input_layernorm.weight | blk.0.attn_norm.weight 96",
      "model.layers.0.self_attn.qkv_proj.weight | blk.0.attn_qkv.weight 160 96",
      "model.layers.0.self_attn.o_proj.weight | blk.0.attn_output.weight 96 96",
      "model.layers.0.post_attention_layernorm.weight | blk.0.ffn_norm.weight 96",
      "model.layers.0.mlp.gate_up_proj.weight | blk.0.ffn_up.weight 160 96",
      "model.layers.0.mlp.down_proj.weight | blk.0.ffn_down.weight 96 80",
      "model.norm.weight | output_norm.weight 96",
      "lm_head.weight | output.weight 131 96",
  };
  EXPECT_EQ(lines_of(config), expected);
}

TEST(Tensors, OfGemma3TheNormAfterAttentionHasTheNameOfLlamasSecond) {
  ModelConfig config = config_of("llama");
  config.post_norms = config.tied_embeddings = true;
  const Lines expected = {
      "model.embed_tokens.weight | token_embd.weight 131 96",
      "model.layers.0.input_layernorm.weight | blk.0.attn_norm.weight 96",
      "model.layers.0.self_attn.q_proj.weight | blk.0.attn_q.weight 96 96",
      "model.layers.0.self_attn.k_proj.weight | blk.0.attn_k.weight 32 96",
      "model.layers.0.self_attn.v_proj.weight | blk.0.attn_v.weight 32 96",
      "model.layers.0.self_attn.o_proj.weight | blk.0.attn_output.weight 96 96",
      "model.layers.0.post_attention_layernorm.weight | blk.0.post_attention_norm.weight 96",
      "model.layers.0.pre_feedforward_layernorm.weight | blk.0.ffn_norm.weight 96",
      "model.layers.0.mlp.gate_proj.weight | blk.0.ffn_gate.weight 80 96",
      "model.layers.0.mlp.up_proj.weight | blk.0.ffn_up.weight 80 96",
      "model.layers.0.mlp.down_proj.weight | blk.0.ffn_down.weight 96 80",
      "model.layers.0.post_feedforward_layernorm.weight | blk.0.post_ffw_norm.weight 96",
      "model.norm.weight | output_norm.weight 96",
  };
  EXPECT_EQ(lines_of(config), expected);
}

TEST(Tensors, PartsFollowEachOtherInTheTensorHere) {
  Json json = tiny_json(2);
  json["attention_bias"] = true;
  const ModelConfig config = parse(json);
  std::vector<int64_t> first_rows;
  for (const StoredTensor& stored : stored_tensors(config)) {
    if (stored.place.role == TensorRole::kQkv) {
      EXPECT_EQ(stored.rotated, stored.first_row < 128) << stored.name;
      EXPECT_EQ(stored.place.is_bias, stored.name.ends_with(".bias"));
      first_rows.push_back(stored.first_row);
    }
    EXPECT_LE(stored.first_row + stored.shape[0], stored.place.shape(config)[0]) << stored.name;
  }
  EXPECT_EQ(first_rows, (std::vector<int64_t>{0, 0, 96, 96, 128, 128, 0, 0, 96, 96, 128, 128}));
}

TEST(Tensors, HaveNamesOfTheirOwnInCheckpointsAndOnlyMatricesDecay) {
  std::set<std::string> names;
  for (const TensorInfo& info : all_tensors()) {
    EXPECT_EQ(&tensor_info(info.role), &info);
    const int64_t layer = is_of_layer(info.role) ? 3 : -1;
    const TensorPlace weight = {info.role, layer}, bias = {info.role, layer, /*is_bias=*/true};
    EXPECT_TRUE(names.insert(weight.name()).second) << weight.name();
    EXPECT_EQ(bias.name(), weight.name() + "_bias");
    const bool is_matrix = info.shape(config_of("qwen3")).num_columns > 0;
    EXPECT_EQ(weight.decays(), is_matrix) << weight.name();
    EXPECT_FALSE(bias.decays()) << bias.name();
  }
  EXPECT_EQ(names, (std::set<std::string>{
                       "embedding", "final_norm", "head", "layers.3.attention_norm", "layers.3.qkv",
                       "layers.3.q_norm", "layers.3.k_norm", "layers.3.output", "layers.3.ffn_norm",
                       "layers.3.gate_up", "layers.3.down", "layers.3.attention_post_norm",
                       "layers.3.ffn_post_norm"}));
}

}  // namespace
}  // namespace longgen
