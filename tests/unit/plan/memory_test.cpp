// Memory items against tensors counted by hand, KV bytes against counting blocks.
#include "longgen/plan/memory.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "longgen/plan/presets.h"
#include "tests/unit/error_text.h"
#include "tests/unit/plan/tiny_models.h"

namespace longgen {
namespace {

constexpr NumberFormat kFloat32 = NumberFormat::float32;
constexpr NumberFormat kBfloat16 = NumberFormat::bfloat16;

// tiny_config(): E 24, F 40, H D 32, K D 16, V 100.
constexpr int64_t kNorm = 24, kQkv = 32 + 16 + 16, kRotated = 32 + 16, kAttended = 32, kSum = 24;
constexpr int64_t kGateUp = 80, kProduct = 40, kValues = 16;
constexpr int64_t kFloats = 4 * (8 + 4);  // bytes a token: cosines and sines, log-sum-exps

std::vector<std::string> names_of(const MemoryPlan& plan) {
  std::vector<std::string> names;
  for (const MemoryItem& item : plan.items) names.push_back(item.name);
  return names;
}

TEST(MemoryTest, OnTheCpuTheProgramIsCountedToo) {
  const ModelConfig config = tiny_config();
  const ServingLoad load = {.num_tokens = 100, .num_sequences = 1, .prefill_chunk = 64};
  ServingLoad on_cpu = load;
  on_cpu.on_cpu = true;
  const MemoryPlan gpu = serving_memory(config, tiny_hybrid(), kFloat32, load),
                   cpu = serving_memory(config, tiny_hybrid(), kFloat32, on_cpu);
  EXPECT_EQ(cpu.bytes("program"), (int64_t{132} << 20) + 360 * 100);
  EXPECT_EQ(cpu.total_bytes(), gpu.total_bytes() + cpu.bytes("program"));
}

TEST(MemoryTest, OnTheCpuTheAttentionCopiesKeysAndValues) {
  const ModelConfig config = tiny_config();
  TrainingOptions options;
  const MemoryPlan gpu = training_memory(config, 64, kFloat32, options);
  options.on_cpu = true;
  const MemoryPlan cpu = training_memory(config, 64, kFloat32, options);
  // 2 KV heads, whose 8 numbers are padded to 16 floats: 3 copies and 5 gradients.
  EXPECT_EQ(cpu.bytes("layer working set") - gpu.bytes("layer working set"),
            64 * 2 * 16 * 4 * (3 + 5));
  EXPECT_EQ(cpu.bytes("program"), (int64_t{132} << 20) + 360 * 100);
}

void expect_kv_bytes_of_live_blocks(const LayerPlan& layers) {
  const ModelConfig config = tiny_config();
  constexpr int64_t kBlockBytes = 2 * 64 * 8 * 4;
  for (int64_t tokens : {1, 64, 65, 640, 1000}) {
    int64_t held = 0, peak = 0;
    for (int64_t layer = 0; layer < config.num_layers; ++layer) {
      const Pattern pattern = layers.pattern(layer, config.num_kv_heads);
      for (int64_t head = 0; head < config.num_kv_heads; ++head) {
        held += pattern.live_blocks(tokens, head) * kBlockBytes;
      }
    }
    // Token by token: what is live before it, and a new block where it starts one.
    for (int64_t before = 0; before < tokens; ++before) {
      int64_t bytes = 0;
      for (int64_t layer = 0; layer < config.num_layers; ++layer) {
        const Pattern pattern = layers.pattern(layer, config.num_kv_heads);
        for (int64_t head = 0; head < config.num_kv_heads; ++head) {
          bytes += (pattern.live_blocks(before, head) + (before % 64 == 0)) * kBlockBytes;
        }
      }
      peak = std::max(peak, bytes);
    }
    const KvBytes kv = kv_bytes(config, layers, tokens, kFloat32, tokens);
    EXPECT_EQ(kv.held, held) << tokens;
    EXPECT_EQ(kv.decode_peak, peak) << tokens;
    // In one pass nothing is freed before its end.
    EXPECT_EQ(kv.prefill_peak, (tokens + 63) / 64 * 6 * 2 * kBlockBytes) << tokens;
  }
}

TEST(MemoryTest, KvBytesEqualCountingLiveBlocks) {
  expect_kv_bytes_of_live_blocks(
      tiny_hybrid());  // pages of 2 layers: a full group, two sparse ones
  expect_kv_bytes_of_live_blocks(tiny_hybrid().with_windows({0, 5}, 100));  // a group of each class
}

TEST(MemoryTest, ServingItemsAreThoseOfTheDecoder) {
  const ModelConfig config = tiny_config();
  const ServingLoad load = {.num_tokens = 1000, .num_sequences = 5, .prefill_chunk = 256};
  const MemoryPlan plan = serving_memory(config, tiny_hybrid(), kFloat32, load);
  EXPECT_EQ(names_of(plan),
            (std::vector<std::string>{"weights", "KV cache", "prefill workspace", "logits"}));
  EXPECT_EQ(plan.bytes("weights"), config.num_parameters() * 4);
  const KvBytes kv = kv_bytes(config, tiny_hybrid(), 1000, kFloat32, 256);
  EXPECT_EQ(plan.bytes("KV cache"), kv.prefill_peak + 4 * kv.decode_peak);
  EXPECT_GT(kv.prefill_peak, kv.decode_peak);
  // Fullest in the feed-forward network: sum, norm and result, and gate, up and their product.
  EXPECT_EQ(plan.bytes("prefill workspace"), 256 * ((3 * kSum + kGateUp + kProduct) * 4 + kFloats));
  EXPECT_EQ(plan.bytes("logits"), 5 * 100 * 4);
  EXPECT_EQ(plan.total_bytes(), plan.bytes("weights") + plan.bytes("KV cache") +
                                    plan.bytes("prefill workspace") + plan.bytes("logits"));
  // A prompt shorter than the chunk is one pass over the prompt.
  EXPECT_EQ(serving_memory(config, tiny_hybrid(), kFloat32, {100, 1, 256}),
            serving_memory(config, tiny_hybrid(), kFloat32, {100, 1, 100}));
}

TEST(MemoryTest, WideAttentionIsTheFullestMoment) {
  ModelConfig config = tiny_config();
  config.num_heads = config.num_kv_heads = 20;  // H D = K D = 160
  const MemoryPlan plan = serving_memory(config, LayerPlan::all_full(6), kFloat32, {64, 1, 64});
  EXPECT_EQ(plan.bytes("prefill workspace"),
            64 * ((24 + 3 * 160 + 2 * 160 + 160) * 4 + 4 * (8 + 20)));
}

TEST(MemoryTest, TrainingItemsAreThoseOfTheRecipe) {
  const ModelConfig config = tiny_config();
  const int64_t parameters = config.num_parameters();
  const MemoryPlan plan = training_memory(config, 1000, kBfloat16, {.chunk_rows = 128});
  EXPECT_EQ(names_of(plan),
            (std::vector<std::string>{"weights", "masters", "gradients", "Adam m", "Adam v",
                                      "layer inputs", "layer working set", "loss"}));
  EXPECT_EQ(plan.bytes("weights"), parameters * 2);
  for (const char* name : {"masters", "gradients", "Adam m", "Adam v"}) {
    EXPECT_EQ(plan.bytes(name), parameters * 4) << name;
  }
  EXPECT_EQ(plan.bytes("layer inputs"), 6 * 1000 * 24 * 2);
  EXPECT_EQ(plan.host_bytes, 0);
  const int64_t saved = 2 * kNorm + kValues + kRotated + kAttended + kSum;
  // The gradients in the feed-forward network are those of output and input, of the product and of
  // gate and up, which exist again.
  const int64_t gradients = 24 + 24 + kProduct + kGateUp;
  EXPECT_EQ(plan.bytes("layer working set"), 1000 * ((saved + gradients + kGateUp) * 2 + kFloats));
  EXPECT_EQ(plan.bytes("loss"), 128 * 100 * 2 + 100 * 24 * 4);
  EXPECT_EQ(training_memory(config, 50, kBfloat16, {}).bytes("loss"), 50 * 100 * 2 + 100 * 24 * 4);

  const int64_t lse = 6 * 1000 * 4 * 4;
  const MemoryPlan kept =
      training_memory(config, 1000, kBfloat16, {.recompute = Recomputation::layers_keep_attention});
  EXPECT_EQ(kept.bytes("attention outputs"), 6 * 1000 * kAttended * 2 + lse);
  const MemoryPlan all =
      training_memory(config, 1000, kBfloat16, {.recompute = Recomputation::none});
  EXPECT_EQ(all.bytes("activations"), 6 * 1000 * (saved + kGateUp) * 2 + lse);
  EXPECT_EQ(all.bytes("layer working set"), 1000 * (gradients * 2 + kFloats));
}

TEST(MemoryTest, AligningTakesASecondModelAndOneLayer) {
  const ModelConfig config = tiny_config();
  const MemoryPlan plan = alignment_memory(config, 1000, kBfloat16, {.chunk_rows = 128});
  EXPECT_EQ(names_of(plan),
            (std::vector<std::string>{"weights", "masters", "gradients", "Adam m", "Adam v",
                                      "model as it began", "layer working set"}));
  EXPECT_EQ(plan.bytes("model as it began"), config.num_parameters() * 2);
  // Stream, both results; in fp32 one of them and the difference; record and gradients.
  const int64_t record = kNorm + kValues + kRotated + kAttended, gradients = 24 + kAttended + kQkv;
  EXPECT_EQ(plan.bytes("layer working set"),
            1000 * ((3 * 24 + record + gradients) * 2 + 2 * 24 * 4 + 2 * kFloats));
  TrainingOptions options;
  options.objective.teacher = std::make_shared<const ModelConfig>(config);
  EXPECT_EQ(alignment_memory(config, 10, kBfloat16, options).bytes("teacher"),
            config.num_parameters() * 2);
  options.objective.teacher_is_self = true;
  EXPECT_FALSE(alignment_memory(config, 10, kBfloat16, options).has("teacher"));
}

TEST(MemoryTest, OfManyTokensTheFeedForwardNetworkTakesAChunk) {
  const ModelConfig config = tiny_config();
  constexpr int64_t kTokens = 1'000'000, kRows = kPlannedFeedForwardRows;
  // The norm's gradient comes to the gradients of its output and of the layer's.
  EXPECT_EQ(training_memory(config, kTokens, kBfloat16, {}).bytes("layer working set"),
            kTokens * ((2 * kNorm + kValues + kRotated + kAttended + kSum + 3 * 24) * 2 + kFloats));
  // Wide attention: of the sum, of the attention's output and of q, k, v.
  ModelConfig wide = config;
  wide.num_heads = wide.num_kv_heads = 20;  // H D = K D = 160
  EXPECT_EQ(training_memory(wide, kTokens, kBfloat16, {}).bytes("layer working set"),
            kTokens * ((kNorm + 160 + 2 * 160 + 160 + 24 + 160 + 3 * 160) * 2 + 4 * (8 + 20)));
  const auto prefill = [&](const ModelConfig& model) {
    return serving_memory(model, tiny_hybrid(), kFloat32,
                          {.num_tokens = kTokens, .prefill_chunk = kTokens})
        .bytes("prefill workspace");
  };
  EXPECT_EQ(prefill(config), kTokens * ((kSum + kQkv + kRotated + kAttended) * 4 + kFloats));
  ModelConfig long_rows = config;
  long_rows.ffn_width = 10'000;
  EXPECT_EQ(prefill(long_rows), kTokens * (3 * kSum * 4 + kFloats) + kRows * 3 * 10'000 * 4);
}

TEST(MemoryTest, OffloadedLayerInputsAreOnTheHostButForTwo) {
  const ModelConfig config = tiny_config();
  const MemoryPlan plan =
      training_memory(config, 1000, kBfloat16, {.offload = Offloading::layer_inputs});
  EXPECT_EQ(plan.bytes("layer inputs"), 2 * 1000 * 24 * 2);
  EXPECT_EQ(plan.host_bytes, 5 * 1000 * 24 * 2);
}

TEST(MemoryTest, StatesInBf16TakeEightBytesAParameter) {
  const ModelConfig config = preset("llama2-7b");
  TrainingOptions options;
  options.set_states(kBfloat16);
  const MemoryPlan plan = training_memory(config, 64, kBfloat16, options);
  int64_t states = 0;
  for (const char* name : {"weights", "masters", "gradients", "Adam m", "Adam v"}) {
    states += plan.bytes(name);
  }
  EXPECT_EQ(states, 8 * config.num_parameters());
}

TEST(MemoryTest, Float32WeightsAreTheirOwnMasters) {
  const ModelConfig config = tiny_config();
  EXPECT_EQ(training_memory(config, 64, kFloat32, {}).bytes("masters"), 0);
  EXPECT_EQ(training_memory(config, 64, kBfloat16, {.masters = kBfloat16}).bytes("masters"), 0);
  // Reads gradient, m, v, weights; writes m, v, weights, and under bf16 the compute copy too.
  EXPECT_EQ(update_bytes(config, kFloat32, {}), config.num_parameters() * 7 * 4);
  EXPECT_EQ(update_bytes(config, kBfloat16, {}), config.num_parameters() * (7 * 4 + 2));
  EXPECT_EQ(update_bytes(config, kBfloat16,
                         {.masters = kBfloat16, .gradients = kBfloat16, .optimizer = kBfloat16}),
            config.num_parameters() * 7 * 2);
}

TEST(MemoryTest, HeadNormsKeepTheirOutputs) {
  ModelConfig config = tiny_config();
  const auto working_set = [&] {
    return training_memory(config, 10, kFloat32, {}).bytes("layer working set");
  };
  const int64_t without = working_set();
  config.qk_norm = true;
  // Their inputs too, of which v alone stays otherwise.
  EXPECT_EQ(working_set() - without, 10 * (kRotated + kQkv - kValues) * 4);
}

TEST(MemoryTest, NormsAfterAttentionAndFeedForwardKeepWhatTheyRead) {
  ModelConfig config = tiny_config();
  const auto activations = [&] {
    return training_memory(config, 10, kFloat32, {.recompute = Recomputation::none})
        .bytes("activations");
  };
  const int64_t without = activations();
  config.post_norms = true;
  EXPECT_EQ(activations() - without, config.num_layers * 10 * 2 * config.width * 4);
}

TEST(MemoryTest, GrowsWithTokensAndSequences) {
  const ModelConfig config = preset("smollm2-135m");
  const LayerPlan hybrid = parse_layer_plan("middle:1/3", "blocksparse", LayerPlan::all_full(30));
  int64_t serving = 0, training = 0;
  for (int64_t tokens = 1; tokens < 20'000; tokens += 61) {
    const int64_t next = serving_memory(config, hybrid, kBfloat16, {tokens, 3, 700}).total_bytes();
    EXPECT_GE(next, serving) << tokens;
    serving = next;
    const int64_t step = training_memory(config, tokens, kBfloat16, {}).total_bytes();
    EXPECT_GT(step, training) << tokens;
    training = step;
    EXPECT_GT(serving_memory(config, hybrid, kBfloat16, {tokens, 4, 700}).total_bytes(), next);
  }
}

TEST(MemoryTest, AbsurdSizesStopAtTheCap) {
  ModelConfig config = tiny_config();
  config.num_layers = 10'000;
  config.layers = LayerPlan::all_full(10'000);
  config.width = 1 << 20;
  const MemoryPlan plan =
      training_memory(config, int64_t{1} << 30, kFloat32, {.recompute = Recomputation::none});
  EXPECT_EQ(plan.bytes("layer inputs"), kMaxItemBytes);
  EXPECT_GT(plan.total_bytes(), kMaxItemBytes);
}

TEST(MemoryTest, UnknownItemIsNamed) {
  EXPECT_EQ(error_of([] { MemoryPlan().bytes("cheese"); }), "[plan] no memory item \"cheese\".");
}

}  // namespace
}  // namespace longgen
