#include "longgen/train/batches.h"

#include <gtest/gtest.h>

#include "longgen/ops/linear_cross_entropy.h"

namespace longgen {
namespace {

std::vector<int64_t> values(const at::Tensor& tensor) {
  EXPECT_EQ(tensor.scalar_type(), at::kLong);
  return {tensor.data_ptr<int64_t>(), tensor.data_ptr<int64_t>() + tensor.numel()};
}

using Values = std::vector<int64_t>;

/// Two documents of 3 and 2 tokens, and a sample of one document that goes on beyond it.
std::vector<Sample> two_samples() {
  return {{.tokens = {5, 6, 7, 8, 9}, .targets = {6, 7, -1, 9, -1}, .doc_starts = {0, 3}},
          {.tokens = {1, 2, 3, 4, 0}, .targets = {2, 3, 4, 0, 11}, .doc_starts = {0}}};
}

TEST(MakeBatch, EachDocumentIsASequence) {
  const MicroBatch batch = make_batch(two_samples(), DocumentMask::documents);
  EXPECT_EQ(values(batch.tokens_T), (Values{5, 6, 7, 8, 9, 1, 2, 3, 4, 0}));
  EXPECT_EQ(values(batch.targets_T), (Values{6, 7, kNoTarget, 9, kNoTarget, 2, 3, 4, 0, 11}));
  EXPECT_EQ(values(batch.doc_starts), (Values{0, 3, 5}));
}

TEST(MakeBatch, WithoutAMaskEachSampleIsASequence) {
  const MicroBatch batch = make_batch(two_samples(), DocumentMask::none);
  EXPECT_EQ(values(batch.targets_T), (Values{6, 7, kNoTarget, 9, kNoTarget, 2, 3, 4, 0, 11}));
  EXPECT_EQ(values(batch.doc_starts), (Values{0, 5}));
}

TEST(MakeBatch, WeightsAreThoseOfTheTargetsMarks) {
  std::vector<Sample> samples = two_samples();
  EXPECT_FALSE(make_batch(samples, DocumentMask::documents, 5).weights_T.defined());
  samples[1].marks = {1, 2, 2, 1, 1};
  EXPECT_FALSE(make_batch(samples, DocumentMask::documents).weights_T.defined());
  const at::Tensor weights_T = make_batch(samples, DocumentMask::documents, 5).weights_T;
  ASSERT_EQ(weights_T.scalar_type(), at::kFloat);
  const float* const weights = weights_T.data_ptr<float>();
  EXPECT_EQ(std::vector<float>(weights, weights + weights_T.numel()),
            (std::vector<float>{1, 1, 0, 1, 0, 1, 5, 5, 1, 1}));
}

TEST(MakeBatch, CountsTheTargets) {
  const std::vector<Sample> samples = two_samples();
  EXPECT_EQ(num_targets(samples), 8);
  EXPECT_EQ(num_targets(std::span(samples).first(1)), 3);
  EXPECT_EQ(num_targets({}), 0);
}

}  // namespace
}  // namespace longgen
