// What import makes of the metadata of GGUF files.
#include <cmath>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "gguf_builder.h"
#include "longgen/import/gguf_config.h"
#include "longgen/import/gguf_fields.h"
#include "longgen/import/import.h"
#include "tests/unit/model/test_support.h"

namespace longgen {
namespace {

/// The metadata of a tiny model without tensors.
GgufBuilder tiny_gguf(const std::string& architecture = "llama") {
  GgufBuilder builder;
  const auto number = [&](const std::string& key, uint32_t value) {
    builder.key(architecture + "." + key, GgufValueType::u32, raw(value));
  };
  builder.key("general.architecture", GgufValueType::string, gguf_string(architecture));
  number("block_count", 1);
  number("embedding_length", 4);
  number("feed_forward_length", 4);
  number("context_length", 64);
  number("attention.head_count", 2);
  builder.key(architecture + ".attention.layer_norm_rms_epsilon", GgufValueType::f32, raw(1e-5F));
  return builder;
}

GgufBuilder with_embedding() {
  return tiny_gguf().tensor("token_embd.weight", {4, 4}, GgmlType::f32, 0);
}

using Keys = std::vector<std::pair<std::string, std::variant<double, uint32_t, const char*>>>;

/// What import makes of a tiny Llama with these keys besides.
ModelConfig config_with(const Keys& keys) {
  GgufBuilder builder = with_embedding();
  for (const auto& [name, value] : keys) {
    const std::string key = "llama." + name;
    if (const auto* text = std::get_if<const char*>(&value)) {
      builder.key(key, GgufValueType::string, gguf_string(*text));
    } else if (const auto* count = std::get_if<uint32_t>(&value)) {
      builder.key(key, GgufValueType::u32, raw(*count));
    } else {
      builder.key(key, GgufValueType::f32, raw(static_cast<float>(std::get<double>(value))));
    }
  }
  const std::string bytes = builder.file(std::string(64, '\0'));
  return gguf_config(GgufFile(bytes, "m.gguf"));
}

TEST(GgufRope, LinearScaling) {
  using Scaling = RopeConfig::Scaling;
  EXPECT_EQ(config_with({}).rope.scaling, Scaling::none);
  EXPECT_EQ(config_with({{"rope.scaling.type", "none"}, {"rope.scaling.factor", 4.0}}).rope.scaling,
            Scaling::none);
  EXPECT_EQ(config_with({{"rope.scaling.type", "linear"}}).rope.scaling, Scaling::none);
  for (const auto& rope :
       {config_with({{"rope.scaling.type", "linear"}, {"rope.scaling.factor", 4.0}}).rope,
        config_with({{"rope.scaling.factor", 4.0}}).rope,
        config_with({{"rope.scale_linear", 4.0}}).rope}) {
    EXPECT_EQ(rope, parse(with("rope_scaling", {{"rope_type", "linear"}, {"factor", 4}})).rope);
  }
  EXPECT_ERROR(config_with({{"rope.scaling.factor", 4.0}, {"rope.scaling.attn_factor", 0.5}}),
               "key llama.rope.scaling.attn_factor: expected 1, found 0.5");
  EXPECT_ERROR(config_with({{"rope.scaling.factor", 0.5}}), "key llama.rope.scaling.factor");
}

TEST(GgufRope, YarnIsThatOfTheHuggingFaceDirectory) {
  const Json yarn = {
      {"rope_type", "yarn"}, {"factor", 4}, {"original_max_position_embeddings", 128}};
  const auto theirs = [&](const Json& more) {
    Json scaling = yarn;
    scaling.update(more);
    return parse(with("rope_scaling", scaling)).rope;
  };
  const auto ours = [](const Keys& more) {
    Keys keys = {{"rope.scaling.type", "yarn"},
                 {"rope.scaling.factor", 4.0},
                 {"rope.scaling.original_context_length", 128U}};
    for (const auto& [name, value] : more) keys.push_back({"rope.scaling." + name, value});
    return config_with(keys).rope;
  };
  EXPECT_EQ(ours({}), theirs(Json::object()));
  EXPECT_EQ(ours({{"yarn_beta_fast", 24.0}, {"yarn_beta_slow", 2.0}}),
            theirs({{"beta_fast", 24}, {"beta_slow", 2}}));
  EXPECT_EQ(ours({{"yarn_attn_factor", 0.75}}), theirs({{"attention_factor", 0.75}}));
  EXPECT_EQ(ours({{"yarn_ext_factor", 1.0}, {"yarn_log_multiplier", 0.0}}), ours({}));
  // The factor multiplies yarn's own.
  EXPECT_DOUBLE_EQ(ours({{"attn_factor", 0.5}}).attention_factor, 0.5 * (0.1 * std::log(4.0) + 1));
}

TEST(GgufRope, YarnThatItCannotRunIsRefused) {
  const auto yarn = [](const std::string& key, std::variant<double, uint32_t, const char*> value) {
    return config_with({{"rope.scaling.type", "yarn"},
                        {"rope.scaling.factor", 4.0},
                        {"rope.scaling." + key, value}});
  };
  EXPECT_EQ(yarn("original_context_length", 32U).rope.original_context, 32);
  EXPECT_EQ(yarn("finetuned", 1U).rope.original_context, 64);  // that of the model
  EXPECT_ERROR(config_with({{"rope.scaling.type", "yarn"}}), "key llama.rope.scaling.factor");
  EXPECT_ERROR(yarn("yarn_ext_factor", 0.5),
               "key llama.rope.scaling.yarn_ext_factor: expected 1, found 0.5");
  EXPECT_ERROR(yarn("yarn_log_multiplier", 0.5), "yarn_log_multiplier: expected 0, found 0.5");
  EXPECT_ERROR(yarn("yarn_beta_slow", 64.0), "beta_slow: expected less than beta_fast");
  EXPECT_ERROR(yarn("attn_factor", 0.0), "key llama.rope.scaling.attn_factor");
}

TEST(GgufRope, OneKindOfScalingAtATime) {
  GgufBuilder both = with_embedding();
  both.tensor("rope_freqs.weight", {1}, GgmlType::f32, 64);
  both.key("llama.rope.scaling.factor", GgufValueType::f32, raw(4.0F));
  const std::string bytes = both.file(std::string(68, '\0'));
  EXPECT_ERROR(gguf_config(GgufFile(bytes, "m.gguf")), "expected one of them, found both");
}

/// One key of an array of u32.
ModelConfig config_with_array(const std::string& name, const std::vector<uint32_t>& values) {
  GgufBuilder builder;
  builder.key("general.architecture", GgufValueType::string, gguf_string("llama"));
  builder.key("llama.attention.layer_norm_rms_epsilon", GgufValueType::f32, raw(1e-5F));
  std::string elements;
  for (const uint32_t value : values) elements += raw(value);
  for (const auto& [key, value] :
       std::vector<std::pair<std::string, uint32_t>>{{"block_count", 2},
                                                     {"embedding_length", 4},
                                                     {"feed_forward_length", 4},
                                                     {"context_length", 64},
                                                     {"attention.head_count", 2}}) {
    if (key != name) builder.key("llama." + key, GgufValueType::u32, raw(value));
  }
  builder.key("llama." + name, GgufValueType::array,
              gguf_array(GgufValueType::u32, values.size(), elements));
  builder.tensor("token_embd.weight", {4, 4}, GgmlType::f32, 0);
  const std::string bytes = builder.file(std::string(64, '\0'));
  return gguf_config(GgufFile(bytes, "m.gguf"));
}

TEST(GgufConfig, ArraysOfEqualNumbersAreOneNumber) {
  EXPECT_EQ(config_with_array("attention.head_count_kv", {1, 1}).num_kv_heads, 1);
  EXPECT_EQ(config_with_array("attention.head_count", {2, 2}).num_heads, 2);
  EXPECT_EQ(config_with_array("feed_forward_length", {8, 8}).ffn_width, 8);
  EXPECT_ERROR(
      config_with_array("attention.head_count_kv", {2, 1}),
      "m.gguf: key llama.attention.head_count_kv: expected the same in every layer, found 2 "
      "in layer 0 and 1 in layer 1. longgen's models have layers of one shape.");
  EXPECT_ERROR(config_with_array("feed_forward_length", {8}),
               "expected one number, or one for each of 2 layers, found 1.");
  EXPECT_ERROR(config_with_array("attention.head_count_kv", {0, 0}),
               "expected at least 1, found 0");
  EXPECT_ERROR(config_with_array("attention.head_count_kv", {3, 3}), "key llama.attention.head_co");
}

TEST(GgufConfig, KeysOfOtherArithmeticAreRefusedByName) {
  EXPECT_ERROR(
      config_with({{"expert_count", 8U}}),
      "m.gguf: key llama.expert_count: expected 0, which changes nothing, found 8. longgen "
      "would run the model without it, and wrongly.");
  for (const auto& one : Keys{{"attention.scale", 0.5},
                              {"logit_scale", 0.0625},
                              {"attn_logit_softcapping", 50.0},
                              {"final_logit_softcapping", 30.0},
                              {"attention.clamp_kqv", 8.0},
                              {"attention.max_alibi_bias", 8.0},
                              {"residual_scale", 0.22},
                              {"embedding_scale", 12.0},
                              {"attention.value_length", 4U}}) {
    EXPECT_ERROR(config_with({one}), "m.gguf: key llama." + one.first + ": expected ");
  }
  const Keys harmless = {{"expert_count", 0U}, {"attention.scale", 0.70710678},  // heads of 2
                         {"logit_scale", 1.0}, {"residual_scale", 0.0},
                         {"vocab_size", 4U},   {"attention.value_length", 2U}};
  EXPECT_EQ(config_with(harmless).head_size, 2);
  GgufBuilder adapter = with_embedding();
  adapter.key("general.type", GgufValueType::string, gguf_string("adapter"));
  const std::string bytes = adapter.file(std::string(64, '\0'));
  EXPECT_ERROR(gguf_config(GgufFile(bytes, "m.gguf")),
               "m.gguf: key general.type: expected model, found \"adapter\".");
}

TEST(GgufConfig, KeysThatAreNotKnownAreNamed) {
  GgufBuilder builder = with_embedding();
  builder.key("llama.attention.gate", GgufValueType::u32, raw(uint32_t{1}));
  builder.key("llama.vocab_size", GgufValueType::u32, raw(uint32_t{4}));
  builder.key("general.name", GgufValueType::string, gguf_string("x"));
  const std::string bytes = builder.file(std::string(64, '\0'));
  const GgufFile file(bytes, "m.gguf");
  ::testing::internal::CaptureStderr();
  warn_of_unknown_keys(file, gguf_config(file));
  EXPECT_EQ(
      ::testing::internal::GetCapturedStderr(),
      "warning: m.gguf: longgen does not know the keys llama.attention.gate and runs the model "
      "without. If they change what the model computes, results differ.\n");
}

TEST(GgufConfig, BiasesInEveryLayerOrInNone) {
  const auto with_biases = [](const std::vector<std::string>& names) {
    GgufBuilder builder = with_embedding();
    uint64_t offset = 64;
    for (const std::string& name : names) {
      builder.tensor("blk.0." + name + ".bias", {4}, GgmlType::f32, offset);
      offset += 32;
    }
    const std::string bytes = builder.file(std::string(offset, '\0'));
    return gguf_config(GgufFile(bytes, "m.gguf"));
  };
  const ModelConfig attention = with_biases({"attn_q", "attn_k", "attn_v", "attn_output"});
  EXPECT_TRUE(attention.qkv_bias && attention.output_bias && !attention.mlp_bias);
  const ModelConfig mlp = with_biases({"ffn_gate", "ffn_up", "ffn_down"});
  EXPECT_TRUE(mlp.mlp_bias && !mlp.qkv_bias && !mlp.output_bias);
  EXPECT_ERROR(
      with_biases({"attn_q", "attn_k", "attn_v"}),
      "m.gguf: tensor blk.0.attn_output.bias is missing, but blk.0.attn_q.bias is there. "
      "longgen has these biases in every layer (attention_bias: q, k, v and output), or in "
      "none.");
  EXPECT_ERROR(with_biases({"ffn_up"}), "tensor blk.0.ffn_gate.bias is missing");
}

TEST(GgufConfig, SlidingWindowsAreRefusedAsInDirectories) {
  const auto window = [](uint32_t tokens) {
    return config_with({{"attention.sliding_window", tokens}}).context;
  };
  for (const uint32_t harmless : {0U, 64U, 4096U}) EXPECT_EQ(window(harmless), 64);
  EXPECT_ERROR(
      window(63),
      "m.gguf: key llama.attention.sliding_window: expected none or at least "
      "llama.context_length, 64, found 63. longgen does not import sliding-window models of "
      "this architecture.");
}

TEST(GgufConfig, EveryLayerOfPhi3HasTheWindow) {
  const auto phi3 = [](uint32_t window) {
    GgufBuilder builder = tiny_gguf("phi3");
    builder.tensor("token_embd.weight", {4, 4}, GgmlType::f32, 0);
    builder.key("phi3.attention.sliding_window", GgufValueType::u32, raw(window));
    const std::string bytes = builder.file(std::string(64, '\0'));
    return gguf_config(GgufFile(bytes, "m.gguf"));
  };
  EXPECT_EQ(phi3(16).family, "phi3");
  EXPECT_TRUE(phi3(16).fused_projections);
  EXPECT_EQ(phi3(16).layers.window_layers(), (std::vector<int64_t>{0}));
  EXPECT_EQ(phi3(16).pattern(0), Pattern::window(16));
  EXPECT_TRUE(phi3(0).layers.is_all_full());
  EXPECT_TRUE(phi3(64).layers.is_all_full());
}

TEST(GgufConfig, WhatGemma3DoesNotSay) {
  GgufBuilder builder = tiny_gguf("gemma3");
  builder.tensor("token_embd.weight", {4, 4}, GgmlType::f32, 0);
  builder.key("gemma3.attention.sliding_window", GgufValueType::u32, raw(uint32_t{16}));
  builder.key("gemma3.attention.key_length", GgufValueType::u32, raw(uint32_t{8}));
  const std::string bytes = builder.file(std::string(64, '\0'));
  const ModelConfig config = gguf_config(GgufFile(bytes, "m.gguf"));
  EXPECT_EQ(config.family, "gemma3_text");
  EXPECT_EQ(config.query_scalar, 8);
  EXPECT_EQ(config.rope.base, 1e6);
  EXPECT_EQ(config.window_rope, RopeConfig{.base = 1e4});
  EXPECT_EQ(config.layers.window_layers(), (std::vector<int64_t>{0}));
  EXPECT_EQ(config.pattern(0), Pattern::window(16));
  EXPECT_TRUE(config.post_norms && config.tied_embeddings && config.norms_add_one);
}

class GgufImport : public FolderTest {
 protected:
  void import_file(const std::string& bytes) {
    write_file(dir_ / "m.gguf", bytes);
    import_model(dir_ / "m.gguf", dir_ / "out", {.show_progress = false});
  }
};

TEST_F(GgufImport, NamesWhatIsWrong) {
  const std::string data(64, '\0');
  EXPECT_ERROR(
      import_file(tiny_gguf("mamba").file()),
      "key general.architecture: expected llama, qwen2, qwen3, phi3, gemma or gemma3, found "
      "\"mamba\"");
  EXPECT_ERROR(import_file(tiny_gguf().file()), "tensor token_embd.weight is missing");
  EXPECT_ERROR(import_file(with_embedding().file(data)),
               "tensor blk.0.attn_norm.weight is missing");
  GgufBuilder split = with_embedding();
  split.key("split.count", GgufValueType::u16, raw(static_cast<uint16_t>(3)));
  EXPECT_ERROR(import_file(split.file(data)), "one of 3 parts of a split model");
  GgufBuilder scaled = with_embedding();
  scaled.key("llama.rope.scaling.type", GgufValueType::string, gguf_string("longrope"));
  EXPECT_ERROR(import_file(scaled.file(data)), "expected none, linear or yarn, found \"longrope\"");
  GgufBuilder partial = with_embedding();
  partial.key("llama.rope.dimension_count", GgufValueType::u32, raw(uint32_t{1}));
  EXPECT_ERROR(import_file(partial.file(data)), "longgen rotates whole heads");
}

}  // namespace
}  // namespace longgen
