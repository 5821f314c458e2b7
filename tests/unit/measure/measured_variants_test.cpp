#include "longgen/measure/measured_variants.h"

#include "longgen/measure/row_scorer.h"
#include "tests/unit/measure/tiny_variants.h"

namespace longgen {
namespace {

const LayerSet kAll = {0, 1, 2, 3, 4};

class MeasuredVariantsTest : public FolderTest {
 protected:
  MeasureJournal journal() {
    return {
        dir_ / "journal.jsonl", {{"length", kLength}}, {.num_ranges = 2, .num_units = 5}, false};
  }

  MeasuredVariantsOptions options() {
    MeasureSample other = tiny_sample();
    std::reverse(other.ids.begin(), other.ids.end());
    return {.units = {.candidates = kAll, .sparse = tiny_sparse(), .per_layer = 1},
            .samples = {tiny_sample(), other},
            .load =
                [this] {
                  ++num_loads_;
                  return tiny_decoder();
                },
            .on_progress = [this](int64_t done) { done_ = done; },
            .stop = &stop_};
  }

  int64_t num_loads_ = 0, done_ = 0;
  std::atomic<bool> stop_ = false;
};

/// Scores whole passes of one variant over both samples.
VariantValues truth_of(const MeasuredVariantsOptions& options, const LayerSet& full) {
  const at::NoGradGuard no_grad;
  const Decoder decoder = tiny_decoder();
  const FloatHead head(decoder);
  VariantValues sum;
  for (const MeasureSample& sample : options.samples) {
    RowScorer scorer(head, sample, far_text_edges(128, kLength));
    scorer.set_reference(whole_pass(decoder, kAll, kAll, sample.ids));
    sum += scorer.score(whole_pass(decoder, kAll, full, sample.ids), scorer.reference_logprobs());
  }
  return sum;
}

TEST_F(MeasuredVariantsTest, AreWholePassesOverAllSamples) {
  MeasureJournal log = journal();
  const MeasuredVariantsOptions all = options();
  MeasuredVariants variants(all, log);
  EXPECT_EQ(variants.values_of(kAll), truth_of(all, kAll));
  EXPECT_EQ(variants.values_of({}), truth_of(all, {}));
  const std::vector<VariantValues> values = variants.values_with({1, 3}, {3, 0});
  EXPECT_EQ(values.at(0), truth_of(all, {1}));
  EXPECT_EQ(values.at(1), truth_of(all, {0, 1, 3}));
  EXPECT_EQ(done_, 2 * 4);
  EXPECT_EQ(log.num_variants(), 2 * 4);
  EXPECT_EQ(num_loads_, 1);
}

TEST_F(MeasuredVariantsTest, GoOnFromTheJournal) {
  std::vector<VariantValues> first;
  {
    MeasureJournal log = journal();
    MeasuredVariants variants(options(), log);
    first = variants.values_with(kAll, {0, 1, 2});
  }
  MeasureJournal log = journal();
  MeasuredVariants variants(options(), log);
  EXPECT_EQ(variants.values_with(kAll, {0, 1, 2}), first);
  EXPECT_EQ(num_loads_, 1);  // all was known
  EXPECT_EQ(done_, 2 * 3);
  EXPECT_EQ(variants.values_with(kAll, {4}).at(0), truth_of(options(), {0, 1, 2, 3}));
  EXPECT_EQ(num_loads_, 2);
}

TEST_F(MeasuredVariantsTest, WhatWasMeasuredBeforeAStopIsKept) {
  MeasureJournal log = journal();
  MeasuredVariantsOptions stopping = options();
  stopping.on_progress = [this](int64_t done) { stop_ = done == 3; };
  MeasuredVariants variants(stopping, log);
  EXPECT_ERROR(variants.values_with(kAll, {0, 1, 2, 3, 4}),
               "[measure] stopped. What was measured is in ");
  EXPECT_EQ(log.num_variants(), 3 + 1);  // with the full model, which the others are held against
  stop_ = false;
  MeasureJournal again = journal();
  MeasuredVariants whole(options(), again);
  EXPECT_EQ(whole.values_with(kAll, {2}).at(0), truth_of(options(), {0, 1, 3, 4}));
}

TEST_F(MeasuredVariantsTest, GatesAreSumsOverSamplesAndGoOnFromTheJournal) {
  const MeasuredVariantsOptions all = options();
  GateSlopes expected;
  const Decoder decoder = tiny_decoder();
  const FloatHead head(decoder);
  for (const MeasureSample& sample : all.samples) {
    RowScorer scorer(head, sample, far_text_edges(128, kLength));
    scorer.set_reference(whole_pass(decoder, kAll, kAll, sample.ids));
    GatePass pass(decoder, all.units, kLength, kHalfOpen);
    const auto go_on = [] { return true; };
    const RowScorer::Gradients gradients = scorer.gradients(pass.forward(sample.ids, go_on));
    const auto slopes = pass.backward({gradients.text_TE, gradients.answers_TE}, go_on);
    expected += {slopes.at(0), slopes.at(1)};
  }
  {
    MeasureJournal log = journal();
    MeasuredVariantsOptions stopping = options();
    stopping.on_progress = [this](int64_t done) { stop_ = done == 1; };
    MeasuredVariants variants(stopping, log);
    EXPECT_ERROR(variants.gate_slopes(), "[measure] stopped. What was measured is in ");
    EXPECT_EQ(log.num_gate_passes(), 1);
    EXPECT_EQ(log.num_variants(), 1);  // the full model on the first sample
  }
  stop_ = false;
  {
    MeasureJournal log = journal();
    MeasuredVariants variants(options(), log);
    EXPECT_EQ(variants.gate_slopes(), expected);
    EXPECT_EQ(done_, 2);
    EXPECT_EQ(num_loads_, 2);
  }
  MeasureJournal log = journal();
  MeasuredVariants variants(options(), log);
  EXPECT_EQ(variants.gate_slopes(), expected);
  EXPECT_EQ(num_loads_, 2);  // all was known
}

TEST_F(MeasuredVariantsTest, SlopesThatAreNotFiniteAreTold) {
  MeasureJournal log = journal();
  MeasuredVariantsOptions broken = options();
  int64_t num_passes = 0;
  broken.on_progress = [&](int64_t) { ++num_passes; };
  Decoder decoder = tiny_decoder();
  broken.load = [&] { return decoder; };
  MeasuredVariants variants(broken, log);
  variants.values_of(kAll);  // the references, of sound weights
  decoder.weights().layers.at(3).norm(TensorRole::kAttentionNorm).fill_(INFINITY);
  EXPECT_ERROR(variants.gate_slopes(), "slopes that are not finite. Measure with --dtype float32");
  EXPECT_EQ(log.num_gate_passes(), 0);
}

TEST_F(MeasuredVariantsTest, WeightsThatAreNotFiniteAreTold) {
  MeasureJournal log = journal();
  MeasuredVariantsOptions broken = options();
  broken.load = [] {
    const Decoder decoder = tiny_decoder();
    decoder.weights().final_norm_E.fill_(std::numeric_limits<float>::quiet_NaN());
    return decoder;
  };
  MeasuredVariants variants(broken, log);
  EXPECT_ERROR(variants.values_of({}),
               "numbers that are not finite: are its weights damaged? (5 of 5 full)");
  EXPECT_EQ(log.num_variants(), 0);
}

}  // namespace
}  // namespace longgen
