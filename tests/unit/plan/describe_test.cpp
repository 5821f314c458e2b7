// What `longgen info` says, line by line.
#include "longgen/plan/describe.h"

#include <gtest/gtest.h>

#include <numeric>

#include "longgen/base/check.h"
#include "longgen/plan/presets.h"
#include "longgen/plan/report_json.h"

namespace longgen {
namespace {

ModelConfig smollm_hybrid() {
  ModelConfig config = preset("smollm2-135m");
  config.layers = parse_layer_plan("middle:1/3", "sink", config.layers);
  config.context = 32768;
  config.rope.base = 1.6e6;
  return config;
}

TEST(DescribeTest, TextOfAFullModel) {
  EXPECT_EQ(
      to_text(describe_model("llama2-7b", preset("llama2-7b"))),
      "model       llama2-7b\n"
      "family      llama\n"
      "parameters  6,738,415,616: embedding 131,072,000, output head 131,072,000, attention "
      "2,147,483,648, feed-forward 4,328,521,728, norms 266,240\n"
      "sizes       width 4,096, feed-forward 11,008, 32 heads on 32 KV heads of 128, vocabulary "
      "32,000\n"
      "layers      32, all full\n"
      "context     4,096 tokens\n"
      "rope        base 10,000\n"
      "KV cache    2.00 GiB at 4,096 tokens, bfloat16\n");
}

TEST(DescribeTest, TextOfAHybrid) {
  const std::string text = to_text(describe_model("runs/smollm", smollm_hybrid()));
  for (const char* line :
       {"layers      full 10-19 (10 of 30), sparse the others: sink=1,window=16,stride=0\n",
        "context     32,768 tokens (originally 8,192)\n",
        "rope        base 1,600,000 (originally 100,000)\n", "vocabulary 49,152, tied embeddings\n",
        // 512 blocks in 10 layers, 16 in 20: of 15,360
        "KV cache    255 MiB at 32,768 tokens, bfloat16; 35.4% of the 720 MiB with every layer "
        "full\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
  }
}

TEST(DescribeTest, WindowsOfTheFamilyAreNamed) {
  ModelConfig config = preset("mistral-7b");
  std::vector<int64_t> all(32);
  std::iota(all.begin(), all.end(), 0);
  config.layers = config.layers.with_windows(all, 4096);
  const ModelDescription mistral = describe_model("m", config);
  const std::string text = to_text(mistral);
  // 64 of 512 blocks in every layer.
  for (const char* line : {"layers      windows of 4,096 tokens 0-31 (32 of 32)\n",
                           "KV cache    512 MiB at 32,768 tokens, bfloat16; 12.5% of the 4.00 GiB "
                           "with every layer full\n"}) {
    EXPECT_NE(text.find(line), std::string::npos) << line << "in\n" << text;
  }
  config.layers = LayerPlan::hybrid(32, {5, 11}, Pattern::parse("sink")).with_windows({0, 31}, 512);
  const ModelDescription description = describe_model("m", config);
  EXPECT_NE(to_text(description)
                .find("layers      full 5,11 (2 of 32), sparse 1-4,6-10,12-30 (28 of 32): "
                      "sink=1,window=16,stride=0, windows of 512 tokens 0,31 (2 of 32)\n"),
            std::string::npos)
      << to_text(description);
  const OrderedJson json = to_json(description)["layers"];
  EXPECT_EQ(json["full_layers"], OrderedJson({5, 11}));
  EXPECT_EQ(json["pattern"], "sink=1,window=16,stride=0");
  EXPECT_EQ(json["other_classes"][0]["pattern"], "window_tokens=512");
  EXPECT_EQ(json["other_classes"][0]["layers"], OrderedJson({0, 31}));
  EXPECT_TRUE(to_json(mistral)["layers"]["pattern"].is_null());
}

TEST(DescribeTest, KvBytesAreThoseOfTheLiveBlocks) {
  const ModelDescription description =
      describe_model("m", smollm_hybrid(), 131072, NumberFormat::float32);
  const int64_t block_bytes = 2 * 64 * 64 * 4;  // K and V, 64 tokens, head size 64, fp32
  EXPECT_EQ(description.full_kv_bytes, 30 * 3 * 2048 * block_bytes);
  EXPECT_EQ(description.kv_bytes, 3 * (10 * 2048 + 20 * 16) * block_bytes);
  EXPECT_DOUBLE_EQ(description.kept_share(), (10.0 * 2048 + 20 * 16) / (30.0 * 2048));
}

TEST(DescribeTest, RopeScalingIsNamed) {
  ModelConfig config = preset("llama3-8b");
  config.rope.scaling = RopeConfig::Scaling::llama3;
  config.rope.factor = 8;
  config.rope.original_context = 8192;
  const auto rope = [&] {
    const std::string text = to_text(describe_model("m", config));
    const size_t begin = text.find("rope") + 12;
    return text.substr(begin, text.find('\n', begin) - begin);
  };
  EXPECT_EQ(rope(), "base 500,000, llama3 scaling by 8 from 8,192");
  config.window_rope = RopeConfig{.base = 1e4};
  EXPECT_EQ(rope(),
            "base 500,000, llama3 scaling by 8 from 8,192; base 10,000 in layers with a window");
  EXPECT_EQ(model_to_json(config)["rope"]["window_base"], 1e4);
  config.window_rope = std::nullopt;
  config.sparse_rope = RopeConfig{.base = 2e4};
  EXPECT_EQ(rope(), "base 500,000, llama3 scaling by 8 from 8,192; base 20,000 in sparse layers");
  EXPECT_EQ(model_to_json(config)["rope"]["sparse_base"], 2e4);
  config.sparse_rope = std::nullopt;
  config.rope.scaling = RopeConfig::Scaling::yarn;
  EXPECT_EQ(rope(), "base 500,000, yarn scaling by 8 from 8,192");
  config.rope.scaling = RopeConfig::Scaling::linear;
  config.rope.base = config.original_rope_base = 10000.5;
  EXPECT_EQ(rope(), "base 10000.5, linear scaling by 8");
}

TEST(DescribeTest, JsonHoldsTheSameNumbers) {
  const ModelDescription description = describe_model("runs/smollm", smollm_hybrid());
  const Json json = parse_json(dump_json(to_json(description), 2), "info");
  EXPECT_EQ(json["model"], "runs/smollm");
  EXPECT_EQ(json["family"], "llama");
  EXPECT_EQ(json["num_layers"], 30);
  EXPECT_EQ(json["parameters"]["total"], 134'515'008);
  EXPECT_EQ(json["layers"]["full_layers"].size(), 10u);
  EXPECT_EQ(json["layers"]["pattern"], "sink=1,window=16,stride=0");
  EXPECT_EQ(json["rope"]["base"], 1.6e6);
  EXPECT_EQ(json["rope"]["original_base"], 1e5);
  EXPECT_EQ(json["rope"]["scaling"], "none");
  EXPECT_EQ(json["kv"]["num_tokens"], 32768);
  EXPECT_EQ(json["kv"]["bytes"], description.kv_bytes);
  EXPECT_EQ(json["kv"]["full_bytes"], description.full_kv_bytes);
  const Json full = to_json(describe_model("m", preset("qwen2.5-7b")));
  EXPECT_TRUE(full["layers"]["pattern"].is_null());
  EXPECT_EQ(full["kv"]["kept_share"], 1.0);
}

TEST(DescribeTest, RefusesNegativeAndAbsurdLengths) {
  const ModelConfig config = preset("smollm2-135m");
  EXPECT_THROW(describe_model("m", config, -1), Error);
  EXPECT_THROW(describe_model("m", config, int64_t{1} << 50), Error);
  ModelConfig absurd = config;
  absurd.num_kv_heads = absurd.num_heads = int64_t{1} << 40;
  EXPECT_THROW(describe_model("m", absurd), Error);
  absurd = config;
  absurd.num_heads = int64_t{1} << 60;  // few KV heads, so the cache itself is small
  EXPECT_THROW(describe_model("m", absurd), Error);
}

}  // namespace
}  // namespace longgen
