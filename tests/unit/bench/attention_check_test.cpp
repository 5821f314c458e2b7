// The spot check that stands beside every timing must see what is wrong.
#include "longgen/bench/attention_check.h"

#include <gtest/gtest.h>

namespace longgen {
namespace {

const AttentionShape kShape = {300, 4, 2, 16, at::kFloat, at::kCPU};
const Pattern kPattern = Pattern::parse("sink=1,window=1,stride=3");

struct Results {
  explicit Results(const AttentionShape& shape, const Pattern& pattern = kPattern)
      : inputs(shape),
        attended(attend_forward(inputs, pattern)),
        gradients(attend_backward(inputs, pattern, attended)) {}
  double out_error(const Pattern& pattern = kPattern) const {
    return output_error(inputs, pattern, attended);
  }
  double grad_error(const Pattern& pattern = kPattern) const {
    return gradient_error(inputs, pattern, attended, gradients);
  }
  AttentionInputs inputs;
  Attended attended;
  AttentionGradients gradients;
};

TEST(AttentionCheck, TheOpIsRight) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    for (const int64_t tokens : {1, 64, 300}) {
      AttentionShape shape = kShape;
      shape.dtype = dtype, shape.num_tokens = tokens;
      const Results results(shape);
      EXPECT_LE(results.out_error(), output_tolerance(dtype)) << tokens;
      EXPECT_LE(results.grad_error(), gradient_tolerance(dtype)) << tokens;
    }
  }
}

TEST(AttentionCheck, AnotherPatternIsWrong) {
  const Results results(kShape);
  for (const char* other : {"sink=0,window=1,stride=3", "sink=1,window=2,stride=3",
                            "sink=1,window=1,stride=4", "full"}) {
    EXPECT_GT(results.out_error(Pattern::parse(other)), output_tolerance(at::kBFloat16)) << other;
    EXPECT_GT(results.grad_error(Pattern::parse(other)), gradient_tolerance(at::kBFloat16))
        << other;
  }
}

TEST(AttentionCheck, EveryTensorIsLookedAt) {
  const double tolerance = gradient_tolerance(at::kBFloat16);
  const auto spoiled = [&](const auto& spoil) {
    Results results(kShape);
    spoil(results);
    return std::max(results.out_error(), results.grad_error());
  };
  EXPECT_GT(spoiled([](Results& r) { r.attended.out_THD[299][3].mul_(1.1); }), tolerance);
  EXPECT_GT(spoiled([](Results& r) { r.attended.lse_HT[0][299].add_(0.1); }), tolerance);
  EXPECT_GT(spoiled([](Results& r) { r.gradients.q_THD[299][0].mul_(1.1); }), tolerance);
  EXPECT_GT(spoiled([](Results& r) { r.gradients.k_TKD[0][1].mul_(1.1); }), tolerance);
  EXPECT_GT(spoiled([](Results& r) { r.gradients.v_TKD[150][0].mul_(1.1); }), tolerance);
  EXPECT_GT(spoiled([](Results& r) { r.gradients.v_TKD.fill_(NAN); }), tolerance);
}

TEST(AttentionCheck, VisiblePairsAreCounted) {
  int64_t pairs = 0;
  const Pattern pattern = kPattern.for_heads(2);
  for (int64_t head = 0; head < 2; ++head) {
    for (int64_t t = 0; t < 300; ++t) {
      for (int64_t s = 0; s <= t; ++s) pairs += pattern.keeps(t / 64, s / 64, head);
    }
  }
  EXPECT_EQ(attention_flops(kShape, kPattern), 4.0 * 16 * 2 * static_cast<double>(pairs));
}

}  // namespace
}  // namespace longgen
