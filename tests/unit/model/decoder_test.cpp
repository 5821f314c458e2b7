#include "longgen/model/decoder.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <limits>

#include "longgen/model/gpu_limits.h"
#include "longgen/model/model_directory.h"
#include "tests/unit/model/test_support.h"

namespace longgen {
namespace {

double max_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

at::Tensor ids(int64_t count) { return (at::arange(count, at::kLong) * 37 + 11) % 131; }

Decoder tiny_decoder(const LayerPlan& layers, at::ScalarType dtype = at::kFloat) {
  ModelConfig config = parse(with("initializer_range", 0.15));
  config.layers = layers;
  return {config, random_weights(config, dtype, 7)};
}

at::Tensor logits(const Decoder& decoder, const at::Tensor& tokens, at::Tensor doc_starts = {}) {
  const c10::AutoGradMode no_grad(false);
  BatchContext context(tokens.size(0), std::move(doc_starts));
  return decoder.logits(decoder.forward(tokens, context));
}

LayerPlan hybrid(const char* pattern) { return LayerPlan::hybrid(3, {1}, Pattern::parse(pattern)); }

/// Rounding of three fp32 layers: a few units in the last place of the largest logit.
double rounding(const at::Tensor& logits_TV) {
  return 64 * std::numeric_limits<float>::epsilon() * logits_TV.abs().max().item<double>();
}

TEST(Decoder, AWindowOverEverythingIsFullAttention) {
  const at::Tensor tokens = ids(300);
  const at::Tensor full = logits(tiny_decoder(LayerPlan::all_full(3)), tokens);
  EXPECT_LT(max_difference(logits(tiny_decoder(hybrid("sink=0,window=5")), tokens), full),
            rounding(full));
  EXPECT_LT(max_difference(logits(tiny_decoder(hybrid("sink=0,window=1,stride=1")), tokens), full),
            rounding(full));
  EXPECT_GT(max_difference(logits(tiny_decoder(hybrid("sink=0,window=1")), tokens), full), 0.01);
}

TEST(Decoder, SparseLayersMayTurnByARopeOfTheirOwn) {
  const at::Tensor tokens = ids(300);
  const auto of = [&](const char* pattern, double full_base, std::optional<double> sparse_base) {
    ModelConfig config = parse(with("initializer_range", 0.15));
    config.layers = LayerPlan::hybrid(3, {}, Pattern::parse(pattern)).with_pattern({1}, Pattern());
    config.rope.base = full_base;
    if (sparse_base) config.sparse_rope = RopeConfig{.base = *sparse_base};
    return logits({config, random_weights(config, at::kFloat, 7)}, tokens);
  };
  const char* everything = "sink=0,window=5";
  const at::Tensor both = of(everything, 5e5, 5e5);
  EXPECT_TRUE(at::equal(both, of(everything, 5e5, {})));
  const at::Tensor own = of(everything, 5e5, 1e4);
  EXPECT_GT(max_difference(own, of(everything, 5e5, {})), 0.01);
  EXPECT_GT(max_difference(own, of(everything, 1e4, {})), 0.01);  // the full layer keeps its base
}

TEST(Decoder, PackedDocumentsAreDocumentsOneByOne) {
  const at::Tensor tokens = ids(200);
  const Decoder decoder = tiny_decoder(hybrid("sink=1,window=1"));
  const at::Tensor packed = logits(decoder, tokens, at::tensor({0, 70, 71}, at::kLong));
  const at::Tensor separate =
      at::cat({logits(decoder, tokens.slice(0, 0, 70)), logits(decoder, tokens.slice(0, 70, 71)),
               logits(decoder, tokens.slice(0, 71))});
  EXPECT_LT(max_difference(packed, separate), rounding(packed));
}

TEST(Decoder, LaterTokensDoNotChangeEarlierOnes) {
  const Decoder decoder = tiny_decoder(hybrid("blocksparse"));
  const at::Tensor tokens = ids(130);
  const at::Tensor all = logits(decoder, tokens);
  EXPECT_LT(max_difference(all.slice(0, 0, 65), logits(decoder, tokens.slice(0, 0, 65))),
            rounding(all));
}

TEST(Decoder, Bf16IsCloseToFp32) {
  const at::Tensor tokens = ids(100);
  const at::Tensor exact = logits(tiny_decoder(hybrid("sink")), tokens);
  const double error =
      max_difference(logits(tiny_decoder(hybrid("sink"), at::kBFloat16), tokens), exact);
  EXPECT_LT(error, 0.05 * exact.abs().max().item<double>());
  EXPECT_GT(error, 0);
}

TEST(Decoder, AGpuRefusesAModelWithAllThatItsKernelsLack) {
  Json json = with("model_type", "gemma3_text");
  json["hidden_activation"] = "gelu_pytorch_tanh";
  json["head_dim"] = 256;
  const ModelConfig gemma = parse(json);
  EXPECT_ERROR(check_runs_on(at::Device(at::kCUDA, 1), gemma),
               "[model] the kernels for GPUs lack what this model of the family gemma3_text needs: "
               "heads of 256 (they have 64 and 128), sliding windows of the family's own, norms "
               "that multiply by 1 + weight, the activation gelu_pytorch_tanh. Use --device cpu.");
  check_runs_on(at::kCPU, gemma);
  json = with("head_dim", 128);
  check_runs_on(at::Device(at::kCUDA, 1), parse(json));
  json["model_type"] = "mistral";
  json["sliding_window"] = 100;
  EXPECT_ERROR(check_runs_on(at::Device(at::kCUDA, 1), parse(json)),
               "mistral needs: sliding windows of the family's own. Use --device cpu.");
}

class ModelDirectory : public FolderTest {};

TEST_F(ModelDirectory, ComesBackBitForBit) {
  const Decoder decoder = tiny_decoder(hybrid("sink"));
  save_model(dir_, decoder.config(), decoder.weights(), at::kFloat);
  const Decoder loaded = load_model(dir_);
  EXPECT_EQ(loaded.config().layers, decoder.config().layers);
  const auto before = decoder.weights().parameters(), after = loaded.weights().parameters();
  ASSERT_EQ(before.size(), after.size());
  for (size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(at::equal(before[i].tensor, after[i].tensor)) << before[i].name;
  }
}

TEST_F(ModelDirectory, TensorsKeepTheirTypes) {
  const Decoder decoder = tiny_decoder(hybrid("sink"));
  save_model(dir_, decoder.config(), decoder.weights(), at::kBFloat16);
  EXPECT_EQ(stored_types(dir_).names(), "BF16");
  fs::create_directories(dir_ / "copy");
  save_model(dir_ / "copy", decoder.config(), decoder.weights(), stored_types(dir_));
  EXPECT_EQ(stored_types(dir_ / "copy").names(), "BF16");
  EXPECT_EQ(load_model_config(dir_ / "copy").raw["torch_dtype"], "bfloat16");
}

TEST_F(ModelDirectory, NumbersBeyondATypeAreStoredAsFp32) {
  const Decoder decoder = tiny_decoder(hybrid("sink"));
  at::Tensor norm = decoder.weights().final_norm_E;
  norm[0] = 1e5;
  norm[1] = std::numeric_limits<float>::infinity();  // is not made worse
  ::testing::internal::CaptureStderr();
  save_model(dir_, decoder.config(), decoder.weights(), at::kHalf);
  EXPECT_EQ(
      ::testing::internal::GetCapturedStderr(),
      "warning: tensor model.norm.weight has numbers too large for float16, in which the model "
      "is stored: it is written as float32.\n");
  EXPECT_EQ(stored_types(dir_).names(), "F16, F32");
  EXPECT_EQ(load_model_config(dir_).raw["torch_dtype"], "float16");
  EXPECT_EQ(load_model(dir_).weights().final_norm_E[0].item<float>(), 1e5F);
}

TEST_F(ModelDirectory, AHeadWithOtherNumbersIsUsed) {
  ModelConfig config = parse(tiny_json());
  const ModelWeights weights = random_weights(config, at::kFloat, 3);
  save_model(dir_, config, weights, at::kFloat);
  Json json = parse_json(read_file(dir_ / "config.json"), "config.json");
  json["tie_word_embeddings"] = true;  // as a merged adapter leaves it
  write_file(dir_ / "config.json", json.dump());
  const Decoder loaded = load_model(dir_);
  EXPECT_FALSE(loaded.config().tied_embeddings);
  EXPECT_TRUE(at::equal(loaded.weights().head_VE, weights.head_VE));
}

TEST_F(ModelDirectory, AnotherTypeIsRefused) {
  const Decoder decoder = tiny_decoder(hybrid("sink"));
  EXPECT_ERROR(save_model(dir_, decoder.config(), decoder.weights(), at::kDouble),
               "expected float32, float16 or bfloat16, found Double");
  EXPECT_ERROR(load_model(dir_ / "none"), "expected a model directory, found nothing");
}

TEST_F(ModelDirectory, ATruncatedShardIsNamed) {
  const Decoder decoder = tiny_decoder(hybrid("sink"));
  save_model(dir_, decoder.config(), decoder.weights(), at::kBFloat16);
  fs::resize_file(dir_ / "model.safetensors", fs::file_size(dir_ / "model.safetensors") - 1);
  EXPECT_ERROR(load_model(dir_), "model.safetensors");
}

}  // namespace
}  // namespace longgen
