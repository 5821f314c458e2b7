// What is made of measurements: whole models from cuts, rates, ratios to the plan.
#include "longgen/bench/model_report.h"

#include <gtest/gtest.h>

#include "longgen/plan/plan.h"

namespace longgen {
namespace {

MeasuredWork work_of(const std::string& model) {
  return {.subject = find_subject(model),
          .format = NumberFormat::bfloat16,
          .on_gpu = true,
          .tokens = 131072,
          .decode_tokens = 64,
          .chunk = 8192,
          .training = {},
          .device = find_device("h200")};
}

OrderedJson part(double seconds, int64_t bytes) {
  return {{"seconds", seconds},
          {"host_bytes", 1000},
          {"device_bytes", bytes},
          {"device_reserved_bytes", bytes + 1}};
}

OrderedJson sample(double seconds, int64_t bytes) {
  return {{"prefill", part(10 * seconds, bytes)},
          {"decode", part(seconds, bytes)},
          {"train", part(20 * seconds, 2 * bytes)},
          {"kv_bytes", bytes / 2},
          {"gemm_flops_per_s", 7e14},
          {"copy_bytes_per_s", 4e12}};
}

TEST(ModelSubject, TheLayerOf70bIsMeasuredInCuts) {
  const ModelSubject subject = find_subject("llama2-70b-layer");
  EXPECT_TRUE(subject.is_extrapolated && subject.has_random_weights);
  EXPECT_EQ(cuts_of(subject, "full").size(), 2u);
  const std::vector<ModelCut> cuts = cuts_of(subject, "hybrid");
  ASSERT_EQ(cuts.size(), 3u);
  EXPECT_EQ(cut_config(subject, cuts[2]).num_layers, 2);
  EXPECT_TRUE(cut_config(subject, cuts[2]).layers.is_full(0));
  EXPECT_FALSE(cut_config(subject, cuts[2]).layers.is_full(1));
  EXPECT_EQ(cuts_of(find_subject("llama2-7b"), "hybrid").size(), 1u);
}

TEST(ModelReport, CutsAddUpToTheWholeModel) {
  const MeasuredWork work = work_of("llama2-70b-layer");
  const LayerPlan layers = variant_layers("hybrid", work.subject.config);
  ASSERT_EQ(layers.full_layers().size(), 27u);
  // Besides layers 1 s, a full layer 4 s, a sparse one 3 s.
  const OrderedJson whole =
      combine_samples({sample(5, 500), sample(9, 900), sample(8, 800)}, layers, work);
  EXPECT_DOUBLE_EQ(whole["decode"]["seconds"], 1 + 27 * 4 + 53 * 3);
  EXPECT_DOUBLE_EQ(whole["prefill"]["seconds"], 10 * (1 + 27 * 4 + 53 * 3));
  EXPECT_EQ(whole["train"]["device_bytes"], 200 * (1 + 27 * 4 + 53 * 3));
  EXPECT_EQ(whole["kv_bytes"], 50 * (1 + 27 * 4 + 53 * 3));
  EXPECT_EQ(whole["prefill"]["host_bytes"], 1000);
  const OrderedJson full = combine_samples({sample(5, 500), sample(9, 900)},
                                           variant_layers("full", work.subject.config), work);
  EXPECT_DOUBLE_EQ(full["decode"]["seconds"], 1 + 80 * 4);
}

TEST(ModelReport, APartThatACutLacksIsLeftOut) {
  const MeasuredWork work = work_of("llama2-70b-layer");
  OrderedJson second = sample(9, 900);
  second.erase("train");
  const OrderedJson whole =
      combine_samples({sample(5, 500), second}, variant_layers("full", work.subject.config), work);
  EXPECT_FALSE(whole.contains("train"));
  EXPECT_TRUE(whole.contains("prefill"));
}

TEST(ModelReport, MediansRatesAndRatios) {
  const MeasuredWork work = work_of("llama2-7b");
  const OrderedJson summary =
      summarize_variant("full", {sample(3, 600), sample(1, 400), sample(2, 500)}, work);
  EXPECT_EQ(summary["prefill"]["seconds"], 20);
  EXPECT_EQ(summary["prefill"]["seconds_range"], (OrderedJson{10, 30}));
  EXPECT_DOUBLE_EQ(summary["prefill_tokens_per_s"], 131072 / 20.0);
  EXPECT_DOUBLE_EQ(summary["decode_tokens_per_s"], 0.5);
  EXPECT_EQ(summary["prefill"]["device_bytes"], 500);
  PlanRequest request = {.model = "llama2-7b",
                         .config = work.subject.config,
                         .layers = LayerPlan::all_full(32),
                         .context = 131072,
                         .device = find_device("h200"),
                         .training = {},
                         .efficiency = {}};
  request.prefill_chunk = 8192, request.training.chunk_rows = 4096;
  const ArchitecturePlan plan = make_plan(request).full;
  EXPECT_DOUBLE_EQ(summary["prefill"]["predicted_seconds"], plan.prefill_seconds);
  EXPECT_DOUBLE_EQ(summary["prefill"]["seconds_to_predicted"], 20 / plan.prefill_seconds);
  EXPECT_DOUBLE_EQ(summary["prefill"]["gemm_share"], plan.prefill.total() / 20 / 7e14);
  EXPECT_EQ(summary["train"]["predicted_bytes"], plan.training_memory.total_bytes());
  EXPECT_EQ(summary["predicted_kv_bytes"], plan.kv.held);
}

TEST(ModelReport, TimesOfAnUnknownDeviceAreNotPredicted) {
  MeasuredWork work = work_of("llama2-7b");
  work.device.reset();
  const OrderedJson summary = summarize_variant("hybrid", {sample(1, 400)}, work);
  EXPECT_FALSE(summary["prefill"].contains("predicted_seconds"));
  EXPECT_TRUE(summary["prefill"].contains("predicted_bytes"));
}

TEST(ModelReport, TheTableShowsRatios) {
  const MeasuredWork work = work_of("llama2-7b");
  const std::vector<OrderedJson> variants = {summarize_variant("full", {sample(4, 400)}, work),
                                             summarize_variant("hybrid", {sample(2, 400)}, work)};
  const std::string text = to_text(variants);
  EXPECT_NE(text.find("full / hybrid"), std::string::npos);
  EXPECT_NE(text.find("  40 s"), std::string::npos) << text;
  EXPECT_NE(text.find("2.00\n"), std::string::npos) << text;
}

}  // namespace
}  // namespace longgen
