#include "longgen/measure/row_scorer.h"

#include <cmath>

#include "tests/unit/measure/tiny_variants.h"

namespace longgen {
namespace {

const LayerSet kAll = {0, 1, 2, 3, 4};

TEST(RowScorer, GivesWhatPlainTorchGives) {
  const at::NoGradGuard no_grad;
  const Decoder decoder = tiny_decoder();
  const MeasureSample sample = tiny_sample();
  const at::Tensor full_TE = whole_pass(decoder, kAll, kAll, sample.ids);
  const at::Tensor sparse_TE = whole_pass(decoder, kAll, {2}, sample.ids);
  const FloatHead head(decoder);
  RowScorer scorer(head, sample, {128, 200, 300});
  scorer.set_reference(full_TE);
  const VariantValues values = scorer.score(sparse_TE, scorer.reference_logprobs());

  const auto logprobs_of = [&](const at::Tensor& hidden_TE) {
    return at::log_softmax(decoder.logits(hidden_TE).to(at::kDouble), 1);
  };
  const at::Tensor full = logprobs_of(full_TE), sparse = logprobs_of(sparse_TE);
  const auto at_position = [&](int64_t t) { return sparse[t - 1][sample.ids[t]].item<double>(); };
  VariantValues expected;
  expected.ranges.resize(2);
  for (const int64_t t : sample.far_text) {
    FarTextSums& range = expected.ranges[t < 200 ? 0 : 1];
    ++range.num_tokens;
    range.nll -= at_position(t);
    range.kl += (full[t - 1].exp() * (full[t - 1] - sparse[t - 1])).sum().item<double>();
  }
  for (const TokenRange& answer : sample.answers) {
    for (int64_t t = answer.begin; t < answer.end; ++t) expected.answer_logprob += at_position(t);
  }
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(values.ranges[i].num_tokens, expected.ranges[i].num_tokens);
    EXPECT_NEAR(values.ranges[i].nll, expected.ranges[i].nll, 1e-3);
    EXPECT_NEAR(values.ranges[i].kl, expected.ranges[i].kl, 1e-3);
    EXPECT_GT(values.ranges[i].kl, 0.01);
  }
  EXPECT_NEAR(values.answer_logprob, expected.answer_logprob, 1e-4);
  EXPECT_EQ(values.num_answers, 2);
  EXPECT_EQ(values.num_answer_tokens, 5);
  EXPECT_EQ(values.num_right, 0);
  EXPECT_EQ(scorer.score(full_TE, scorer.reference_logprobs()).far_kl(), 0);
}

TEST(RowScorer, CountsAnswersOfWhichEveryTokenIsTheMostProbable) {
  const at::NoGradGuard no_grad;
  const Decoder decoder = tiny_decoder();
  MeasureSample sample = tiny_sample();
  const at::Tensor hidden_TE = whole_pass(decoder, kAll, kAll, sample.ids);
  const at::Tensor best = decoder.logits(hidden_TE).argmax(1);
  for (int64_t t = 270; t < 273; ++t) sample.ids[t] = best[t - 1].item<int32_t>();
  sample.ids[290] = best[289].item<int32_t>();  // of this answer the second token is another
  sample.ids[291] = (best[290].item<int32_t>() + 1) % 131;
  const FloatHead head(decoder);
  RowScorer scorer(head, sample, {128, 300});
  scorer.set_reference(hidden_TE);
  EXPECT_EQ(scorer.score(hidden_TE, scorer.reference_logprobs()).num_right, 1);
}

TEST(RowScorer, TakesSomeOfALongTextAtEvenDistances) {
  const at::NoGradGuard no_grad;
  const Decoder decoder = tiny_decoder(1);
  MeasureSample sample;
  constexpr int64_t kTokens = 5000;
  sample.ids = some_ids(kTokens);
  for (int64_t t = 1000; t < kTokens; ++t) sample.far_text.push_back(t);
  const at::Tensor hidden_TE = at::zeros({kTokens, decoder.config().width});
  const FloatHead head(decoder);
  RowScorer scorer(head, sample, {1000, 2000, 3000, 4000, 5000});
  scorer.set_reference(hidden_TE);
  const VariantValues values = scorer.score(hidden_TE, scorer.reference_logprobs());
  for (const FarTextSums& range : values.ranges) {
    EXPECT_EQ(range.num_tokens, RowScorer::kMostTextRows / 4);
  }
  EXPECT_NEAR(values.far_nll(), std::log(131), 1e-5);  // of zeros every token is as probable
}

TEST(RowScorer, Bf16DecodersAreScoredInFp32) {
  const at::NoGradGuard no_grad;
  const Decoder exact = tiny_decoder(1);
  const Decoder rounded(exact.config(), converted(exact.weights(), at::kBFloat16, at::kCPU));
  const at::Tensor hidden_RE = at::randn({3, exact.config().width}).to(at::kBFloat16);
  const FloatHead head(rounded);
  const at::Tensor logprobs = head.room(hidden_RE.size(0));
  head.logprobs(hidden_RE, head.room(hidden_RE.size(0)), logprobs);
  EXPECT_EQ(logprobs.scalar_type(), at::kFloat);
  const at::Tensor head_VE = rounded.weights().head_VE.to(at::kDouble);
  const at::Tensor truth = at::log_softmax(at::linear(hidden_RE.to(at::kDouble), head_VE), 1);
  EXPECT_LT((logprobs - truth).abs().max().item<double>(), 1e-5);
}

}  // namespace
}  // namespace longgen
