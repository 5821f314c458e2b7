#include "longgen/train/batches.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "longgen/ops/linear_cross_entropy.h"
#include "longgen/train/objective/token_weights.h"

namespace longgen {
namespace {

at::Tensor as_tensor(const std::vector<int64_t>& values) {
  const at::Tensor tensor = at::empty({static_cast<int64_t>(values.size())}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.data_ptr<int64_t>());
  return tensor;
}

/// The marks of all samples, or an undefined tensor where every target is ordinary.
at::Tensor marks_of(std::span<const Sample> samples) {
  const bool plain = std::ranges::all_of(samples, [](const Sample& s) { return s.marks.empty(); });
  if (plain) return {};
  int64_t rows = 0;
  for (const Sample& sample : samples) rows += static_cast<int64_t>(sample.targets.size());
  const at::Tensor marks_T = at::empty({rows}, at::kByte);
  uint8_t* out = marks_T.data_ptr<uint8_t>();
  for (const Sample& sample : samples) {
    out = sample.marks.empty()
              ? std::ranges::transform(
                    sample.targets, out,
                    [](int32_t target) {
                      return static_cast<uint8_t>(target < 0 ? Mark::ignored : Mark::ordinary);
                    })
                    .out
              : std::ranges::copy(sample.marks, out).out;
  }
  return marks_T;
}

}  // namespace

MicroBatch make_batch(std::span<const Sample> samples, DocumentMask mask, double answer_weight) {
  static_assert(kNoTarget == -1);  // what Sample::targets has
  std::vector<int64_t> tokens, targets, starts;
  for (const Sample& sample : samples) {
    const auto first_row = static_cast<int64_t>(tokens.size());
    if (mask == DocumentMask::none) {
      starts.push_back(first_row);
    } else {
      for (const int64_t start : sample.doc_starts) starts.push_back(first_row + start);
    }
    tokens.insert(tokens.end(), sample.tokens.begin(), sample.tokens.end());
    targets.insert(targets.end(), sample.targets.begin(), sample.targets.end());
  }
  MicroBatch batch = {as_tensor(tokens), as_tensor(targets), as_tensor(starts)};
  // What is not to be learned has no target, so that without this weight every target counts once.
  if (answer_weight != 1) batch.weights_T = weights_of_marks(marks_of(samples), answer_weight);
  return batch;
}

int64_t num_targets(std::span<const Sample> samples) {
  int64_t count = 0;
  for (const Sample& sample : samples) {
    count += std::count_if(sample.targets.begin(), sample.targets.end(),
                           [](int32_t target) { return target >= 0; });
  }
  return count;
}

}  // namespace longgen
