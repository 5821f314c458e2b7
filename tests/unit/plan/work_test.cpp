// Parameters against published totals, operations and bytes against counting one by one.
#include "longgen/plan/work.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "longgen/plan/presets.h"
#include "tests/unit/error_text.h"
#include "tests/unit/plan/tiny_models.h"

namespace longgen {
namespace {

TEST(PresetsTest, ParameterCountsAreThePublishedTotals) {
  const std::map<std::string, int64_t> totals = {
      {"llama2-7b", 6'738'415'616},   {"llama2-70b", 68'976'648'192}, {"llama3-8b", 8'030'261'248},
      {"llama3-70b", 70'553'706'496}, {"smollm2-135m", 134'515'008},  {"qwen2.5-7b", 7'615'616'512},
      {"qwen3-8b", 8'190'735'360},    {"mistral-7b", 7'241'732'096},
  };
  ASSERT_EQ(preset_names().size(), totals.size());
  for (const auto& [name, total] : totals) {
    const ModelConfig config = preset(name);
    EXPECT_EQ(parameter_counts(config).total(), total) << name;
    EXPECT_EQ(config.num_parameters(), total) << name;
  }
}

TEST(PresetsTest, ArePlausibleModels) {
  for (const std::string& name : preset_names()) {
    const ModelConfig config = preset(name);
    EXPECT_FALSE(config.is_hybrid()) << name;
    EXPECT_EQ(config.num_heads * config.head_size, config.width) << name;
    // What config.json would hold reads back to the same shape: families, ranges and token ids.
    const ModelConfig again = parse_model_config(dump_model_config(config), name);
    EXPECT_EQ(again.num_parameters(), config.num_parameters()) << name;
    EXPECT_EQ(again.rope, config.rope) << name;
    EXPECT_EQ(again.context, config.context) << name;
    EXPECT_EQ(again.eos_ids, config.eos_ids) << name;
  }
}

TEST(PresetsTest, UnknownNameListsTheKnownOnes) {
  EXPECT_FALSE(find_preset("llama9").has_value());
  EXPECT_EQ(error_of([] { preset("llama9"); }),
            "[plan] model \"llama9\" is no preset. Expected a model directory or one of llama2-7b, "
            "llama2-70b, llama3-8b, llama3-70b, smollm2-135m, qwen2.5-7b, qwen3-8b or "
            "mistral-7b.");
  EXPECT_EQ(error_of([] { preset_or_directory("llama-3-8b"); }),
            "[plan] model \"llama-3-8b\" is no preset. Expected a model directory or one of "
            "llama2-7b, llama2-70b, llama3-8b, llama3-70b, smollm2-135m, qwen2.5-7b, qwen3-8b or "
            "mistral-7b. Did you mean \"llama3-8b\"?");
}

TEST(WorkTest, ParametersByKindAddUpWithEveryFlag) {
  for (int flags = 0; flags < 32; ++flags) {
    ModelConfig config = tiny_config();
    config.tied_embeddings = flags & 1;
    config.qkv_bias = flags & 2;
    config.output_bias = flags & 4;
    config.mlp_bias = flags & 8;
    config.qk_norm = flags & 16;
    const ParameterCounts counts = parameter_counts(config);
    EXPECT_EQ(counts.total(), config.num_parameters()) << flags;
    EXPECT_EQ(counts.head, config.tied_embeddings ? 0 : 100 * 24) << flags;
    EXPECT_EQ(counts.attention, 6 * (24 * 64 + 32 * 24)) << flags;
    EXPECT_EQ(counts.ffn, 6 * 3 * 24 * 40) << flags;
  }
}

/// Multiply-adds of every scalar product in a forward pass, one visible pair at a time.
Flops counted_forward(const ModelConfig& config, const LayerPlan& layers, int64_t begin,
                      int64_t end, int64_t logit_rows) {
  Flops flops;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const Pattern pattern = layers.pattern(layer, config.num_kv_heads);
    for (int64_t query = begin; query < end; ++query) {
      const int64_t outputs = (config.num_heads + 2 * config.num_kv_heads) * config.head_size;
      flops.linear += 2.0 * static_cast<double>(outputs * config.width);
      flops.linear += 2.0 * static_cast<double>(config.num_heads * config.head_size * config.width);
      flops.linear += 2.0 * static_cast<double>(3 * config.width * config.ffn_width);
      for (int64_t head = 0; head < config.num_heads; ++head) {
        const int64_t kv_head = head * config.num_kv_heads / config.num_heads;
        for (int64_t key = 0; key <= query; ++key) {
          if (!pattern.sees(query, key, kv_head)) continue;
          // Score and weighted sum: each head_size multiply-adds.
          (layers.is_full(layer) ? flops.full_attention : flops.sparse_attention) +=
              2.0 * 2.0 * static_cast<double>(config.head_size);
        }
      }
    }
  }
  flops.linear += 2.0 * static_cast<double>(logit_rows * config.vocab_size * config.width);
  return flops;
}

TEST(WorkTest, ForwardEqualsCounting) {
  const ModelConfig config = tiny_config();
  const LayerPlan all_sparse = LayerPlan::hybrid(6, {}, Pattern::sparse(0, 1));
  for (const LayerPlan& layers :
       {LayerPlan::all_full(6), tiny_hybrid(), all_sparse, tiny_hybrid().with_windows({0, 5}, 100),
        tiny_hybrid().with_windows({0, 1, 2, 3, 4, 5}, 65)}) {
    for (int64_t tokens : {1, 63, 64, 65, 400, 700}) {
      EXPECT_EQ(forward_flops(config, layers, 0, tokens, 1),
                counted_forward(config, layers, 0, tokens, 1))
          << tokens;
      EXPECT_EQ(forward_flops(config, layers, tokens - 1, tokens, 1),
                counted_forward(config, layers, tokens - 1, tokens, 1))
          << tokens;
    }
    EXPECT_EQ(forward_flops(config, layers, 100, 450, 350),
              counted_forward(config, layers, 100, 450, 350));
  }
}

TEST(WorkTest, ChunksAddUpToThePrefill) {
  const ModelConfig config = preset("llama3-8b");
  const LayerPlan layers =
      LayerPlan::hybrid(32, {11, 12, 13}, Pattern::parse("blocksparse")).with_windows({0, 5}, 4096);
  Flops sum;
  for (int64_t begin = 0; begin < 10'000; begin += 777) {
    const int64_t end = std::min<int64_t>(begin + 777, 10'000);
    const Flops part = forward_flops(config, layers, begin, end, end == 10'000 ? 1 : 0);
    sum = {sum.linear + part.linear, sum.full_attention + part.full_attention,
           sum.sparse_attention + part.sparse_attention};
  }
  EXPECT_EQ(sum, forward_flops(config, layers, 0, 10'000, 1));
}

TEST(WorkTest, TrainingIsForwardBackwardAndWhatIsComputedAgain) {
  const ModelConfig config = tiny_config();
  const LayerPlan layers = tiny_hybrid();
  const Flops forward = counted_forward(config, layers, 0, 300, 300);
  const Flops headless = counted_forward(config, layers, 0, 300, 0);
  const auto step = [&](Recomputation mode) { return training_flops(config, layers, 300, mode); };

  EXPECT_EQ(step(Recomputation::none).forward, forward);
  EXPECT_EQ(
      step(Recomputation::none).backward,
      (Flops{2 * forward.linear, 2.5 * forward.full_attention, 2.5 * forward.sparse_attention}));
  EXPECT_EQ(step(Recomputation::none).recompute, Flops{});
  const Flops again = {headless.linear - 2.0 * 300 * 6 * 24 * 40, headless.full_attention,
                       headless.sparse_attention};
  EXPECT_EQ(step(Recomputation::layers).recompute, again);
  EXPECT_EQ(step(Recomputation::layers_keep_attention).recompute, (Flops{again.linear, 0, 0}));
  EXPECT_EQ(step(Recomputation::layers).total(),
            3 * forward.linear + 3.5 * (forward.full_attention + forward.sparse_attention) +
                again.total());
}

TEST(WorkTest, DecodeReadsTheVisibleTokensAndTheWeights) {
  ModelConfig config = tiny_config();
  const LayerPlan layers = tiny_hybrid().with_windows({4}, 100);
  for (int64_t tokens : {1, 64, 65, 500}) {
    int64_t visible = 0;  // over layers and KV heads
    const int64_t query = tokens - 1;
    for (int64_t layer = 0; layer < config.num_layers; ++layer) {
      const Pattern pattern = layers.pattern(layer, config.num_kv_heads);
      for (int64_t head = 0; head < config.num_kv_heads; ++head) {
        for (int64_t key = 0; key <= query; ++key) {
          visible += pattern.sees(query, key, head);
        }
      }
    }
    const DecodeBytes bytes = decode_bytes(config, layers, tokens, NumberFormat::float32);
    EXPECT_EQ(bytes.kv, visible * 2 * 8 * 4) << tokens;
    EXPECT_EQ(bytes.weights, (config.num_parameters() - 100 * 24) * 4);
  }
  config.tied_embeddings = true;  // then the embedding is the output head, and read
  EXPECT_EQ(decode_bytes(config, layers, 64, NumberFormat::bfloat16).weights,
            config.num_parameters() * 2);
}

TEST(WorkTest, AbsurdSizesAreRefusedBeforeTheyOverflow) {
  ModelConfig config = tiny_config();
  config.num_layers = 10'000;
  config.width = config.ffn_width = int64_t{1} << 20;  // the largest that config.json may say
  EXPECT_EQ(error_of([&] { parameter_counts(config); }),
            "[plan] model: about 33.0P parameters; expected less than 1.00P. Check config.json.");
}

TEST(WorkTest, NamesReadBackAndUnknownOnesAreRefused) {
  for (const std::string& name : kRecomputations.names()) {
    EXPECT_EQ(kRecomputations.name(kRecomputations.parse(name, "")), name);
  }
  for (const char* name : {"float32", "bfloat16"}) {
    EXPECT_EQ(number_format_name(parse_number_format(name)), name);
  }
  EXPECT_EQ(error_of([] { kRecomputations.parse("all", "--recompute"); }),
            "--recompute: expected layers, layers_keep_attention or none, found \"all\".");
  EXPECT_EQ(error_of([] { kOffloadings.parse("all", "--offload"); }),
            "--offload: expected none or layer_inputs, found \"all\".");
  EXPECT_EQ(error_of([] { parse_number_format("fp8"); }),
            "[plan] dtype: expected float32 or bfloat16, found \"fp8\".");
}

}  // namespace
}  // namespace longgen
