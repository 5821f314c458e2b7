// feed_forward: chunks against one piece, its own backward pass against autograd.
#include "longgen/ops/feed_forward.h"

#include "tests/unit/ops/ops_test_support.h"

namespace longgen {
namespace {

constexpr int64_t kRows = 101, kWidth = 24, kFfn = 40;

struct Case {
  at::Tensor x, grad;
  FeedForward weights;
};

Case make_case(at::ScalarType type, bool bias) {
  at::manual_seed(8);
  const auto draw = [type](at::IntArrayRef sizes) { return at::randn(sizes).to(type); };
  Case c = {draw({kRows, kWidth}),
            draw({kRows, kWidth}),
            {{draw({2 * kFfn, kWidth}), {}}, {draw({kWidth, kFfn}), {}}}};
  if (bias) c.weights.gate_up.bias = draw({2 * kFfn}), c.weights.down.bias = draw({kWidth});
  return c;
}

Case in_type(const Case& c, at::ScalarType type) {
  const auto to = [type](const at::Tensor& x) { return x.defined() ? x.to(type) : x; };
  return {to(c.x),
          to(c.grad),
          {{to(c.weights.gate_up.weight), to(c.weights.gate_up.bias)},
           {to(c.weights.down.weight), to(c.weights.down.bias)}}};
}

/// x's gradient and those of the weights that there are.
std::vector<at::Tensor> tensors_of(const at::Tensor& x, const FeedForward& w) {
  std::vector<at::Tensor> all;
  for (const at::Tensor& tensor :
       {x, w.gate_up.weight, w.gate_up.bias, w.down.weight, w.down.bias}) {
    if (tensor.defined()) all.push_back(tensor);
  }
  return all;
}

std::vector<at::Tensor> by_hand(const Case& c, int64_t chunk_rows) {
  const auto found = feed_forward_backward(c.grad, c.x, c.weights, {}, chunk_rows);
  return tensors_of(found.x_TE, found.weights);
}

std::vector<at::Tensor> by_autograd(Case c) {
  std::vector<at::Tensor> inputs = tensors_of(c.x, c.weights);
  for (at::Tensor& input : inputs) input.requires_grad_(true);
  feed_forward(c.x, c.weights).backward(c.grad);
  std::vector<at::Tensor> grads;
  for (const at::Tensor& input : inputs) grads.push_back(input.grad());
  return grads;
}

class FeedForwardTest : public ::testing::TestWithParam<std::tuple<at::ScalarType, bool>> {
 protected:
  at::ScalarType type() const { return std::get<0>(GetParam()); }
  Case get() const { return make_case(type(), std::get<1>(GetParam())); }
};

TEST_P(FeedForwardTest, ChunksAreAsGoodAsOnePiece) {
  const Case c = get(), wide = in_type(c, at::kDouble);
  const at::Tensor truth = feed_forward(wide.x, wide.weights);
  const at::Tensor one_piece = feed_forward(c.x, c.weights);
  for (const int64_t rows : {1, 7, 25, 100}) {
    expect_within_twice(feed_forward(c.x, c.weights, nullptr, rows), one_piece, truth, type(),
                        "chunks of " + std::to_string(rows));
  }
}

TEST_P(FeedForwardTest, InOnePieceTheGradientsAreThoseOfAutogradToTheBit) {
  const std::vector<at::Tensor> mine = by_hand(get(), kRows), torch = by_autograd(get());
  ASSERT_EQ(mine.size(), torch.size());
  for (size_t i = 0; i < mine.size(); ++i) EXPECT_TRUE(at::equal(mine[i], torch[i])) << i;
}

TEST_P(FeedForwardTest, GradientsOfChunksAreSumsInFp32) {
  const Case c = get();
  const std::vector<at::Tensor> torch = by_autograd(get()),
                                truth = by_autograd(in_type(c, at::kDouble));
  for (const int64_t rows : {7, 25, 100}) {
    const std::vector<at::Tensor> mine = by_hand(c, rows);
    ASSERT_EQ(mine.size(), truth.size());
    for (size_t i = 0; i < mine.size(); ++i) {
      const at::ScalarType sum_type = i == 0 ? type() : at::kFloat;
      EXPECT_EQ(mine[i].scalar_type(), sum_type);
      // On the CPU the product of each chunk is rounded to the type before it is added.
      const double roundings = static_cast<double>((kRows + rows - 1) / rows);
      EXPECT_LE(max_abs_diff(mine[i], truth[i]),
                2 * max_abs_diff(torch[i], truth[i]) + roundings * spacing(truth[i], type()))
          << i << " in chunks of " << rows;
    }
  }
}

TEST_P(FeedForwardTest, WhatWasKeptGivesTheBitsOfWhatIsComputedAgain) {
  const Case c = get();
  for (const int64_t rows : {25, 101}) {
    std::vector<at::Tensor> kept;
    const at::Tensor out = feed_forward(c.x, c.weights, &kept, rows);
    EXPECT_EQ(kept.size(), rows == 25 ? 5u : 1u);
    EXPECT_TRUE(at::equal(out, feed_forward(c.x, c.weights, nullptr, rows)));
    const auto again = by_hand(c, rows);
    const auto from_kept = feed_forward_backward(c.grad, c.x, c.weights, kept, rows);
    const auto same = tensors_of(from_kept.x_TE, from_kept.weights);
    for (size_t i = 0; i < same.size(); ++i) EXPECT_TRUE(at::equal(same[i], again[i])) << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, FeedForwardTest,
                         ::testing::Combine(::testing::Values(at::kFloat, at::kBFloat16),
                                            ::testing::Bool()));

TEST(FeedForward, ManyRowsGoThroughInChunks) {
  const Case c = make_case(at::kFloat, false);
  std::vector<at::Tensor> kept;
  feed_forward(at::zeros({2 * kFeedForwardRows + 1, kWidth}), c.weights, &kept);
  ASSERT_EQ(kept.size(), 3u);
  for (const at::Tensor& part : kept) EXPECT_LE(part.size(0), kFeedForwardRows / 3 * 2 + 1);
  kept.clear();
  feed_forward(at::zeros({kFeedForwardRows, kWidth}), c.weights, &kept);
  EXPECT_EQ(kept.size(), 1u);
}

}  // namespace
}  // namespace longgen
