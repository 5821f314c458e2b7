// The comparison that the GPU tests make sees what is wrong: shown on the CPU, with results that
// are right and with the same results spoiled in one row.
#include "tests/numerics/attend_truth.h"

#include <gtest/gtest.h>

namespace longgen {
namespace {

struct Compared {
  explicit Compared(const AttendCase& c)
      : pattern(Pattern::parse(c.pattern)),
        inputs(random_qkv(c).to(torch::kBFloat16)),
        grad_out_THD(torch::randn(inputs.q_THD.sizes()).to(torch::kBFloat16)),
        truth(inputs, grad_out_THD, pattern, c.options()),
        results(results_of(attend, inputs, grad_out_THD, pattern, c.options())) {}

  Pattern pattern;
  Qkv inputs;
  torch::Tensor grad_out_THD;
  AttendTruth truth;
  AttendResults results;
};

TEST(AttendTruth, EveryRowOfTheCpuIsRightInBothTypes) {
  for (const AttendCase& c : attend_cases()) {
    if (c.num_queries > 500) continue;  // the longest take as long as all others together
    const Compared compared(c);
    EXPECT_EQ(wrong_results(compared.results, compared.truth), "") << c;
    const AttendResults in_fp32 = results_of(attend, compared.inputs.to(torch::kFloat),
                                             compared.grad_out_THD, compared.pattern, c.options());
    EXPECT_EQ(wrong_results(in_fp32, compared.truth), "") << c << " in fp32";
  }
}

TEST(AttendTruth, IsTheReferenceInFp64) {
  const AttendCase c = {70, 200, 4, 2, 32, "sink=1,window=1,stride=3"};
  const Compared compared(c);
  const AttendResults reference = results_of(attend_reference, compared.inputs.to(torch::kDouble),
                                             compared.grad_out_THD, compared.pattern, c.options());
  const AttendTruth& truth = compared.truth;
  EXPECT_LE(max_abs_diff(reference.out, truth.out.values), 1e-14);
  EXPECT_LE(max_abs_diff(reference.lse, truth.lse), 1e-13);
  EXPECT_LE(max_abs_diff(reference.grad_q, truth.grad_q.values), 1e-13);
  EXPECT_LE(max_abs_diff(reference.grad_k, truth.grad_k.values), 1e-13);
  EXPECT_LE(max_abs_diff(reference.grad_v, truth.grad_v.values), 1e-13);
}

// Rows of 500 tokens are smaller the later they stand: a tolerance from the largest number of the
// tensor would let a late row be wrong by more than a quarter.
TEST(AttendTruth, ALateRowThatIsWrongShows) {
  for (const char* pattern : {"full", "sink=1,window=2,stride=3"}) {
    const Compared compared({500, 500, 4, 2, 64, pattern});
    const auto wrong_after = [&](torch::Tensor AttendResults::*which, const auto& spoil) {
      AttendResults spoiled = compared.results;
      spoiled.*which = (spoiled.*which).clone();
      spoil(spoiled.*which);
      return wrong_results(spoiled, compared.truth);
    };
    const auto scaled_row = [](int64_t row) {
      return [row](torch::Tensor& x) { x[row][1].mul_(1.2); };
    };
    const auto expect_named = [&](const std::string& wrong, const std::string& name) {
      EXPECT_EQ(wrong.find(name + " errs by "), 0) << pattern << ": " << wrong;
      EXPECT_NE(wrong.find(" 1 of "), std::string::npos) << pattern << ": " << wrong;
    };
    for (const int64_t row : {0, 64, 499}) {
      expect_named(wrong_after(&AttendResults::out, scaled_row(row)), "out");
      expect_named(wrong_after(&AttendResults::grad_k, scaled_row(row)), "grad_k");
      expect_named(wrong_after(&AttendResults::grad_v, scaled_row(row)), "grad_v");
      if (row == 0) continue;  // its gradient is 0: it sees one key
      expect_named(wrong_after(&AttendResults::grad_q, scaled_row(row)), "grad_q");
    }
    expect_named(wrong_after(&AttendResults::lse, [](torch::Tensor& x) { x[3][499].add_(2e-3); }),
                 "lse in units of its bound");
    EXPECT_EQ(wrong_after(&AttendResults::lse, [](torch::Tensor& x) { x[0][5].fill_(-INFINITY); }),
              "lse is infinite in other rows. ");
    EXPECT_NE(wrong_after(&AttendResults::grad_q, [](torch::Tensor& x) { x[9][0][0].fill_(NAN); })
                  .find("grad_q errs by inf"),
              std::string::npos);
  }
}

TEST(AttendTruth, AnotherPatternIsWrong) {
  const Compared compared({300, 300, 4, 2, 64, "sink=1,window=2,stride=3"});
  const AttendTruth other(compared.inputs, compared.grad_out_THD,
                          Pattern::parse("sink=1,window=1,stride=3"), {});
  EXPECT_NE(wrong_results(compared.results, other), "");
}

}  // namespace
}  // namespace longgen
