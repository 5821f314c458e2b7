#include "longgen/train/objective/token_weights.h"

#include <ATen/ops/empty.h>

#include "longgen/base/check.h"

namespace longgen {

at::Tensor weights_of_marks(const at::Tensor& marks_T, double answer_weight) {
  if (!marks_T.defined()) return {};
  const at::Tensor marks = marks_T.to(at::kByte).contiguous();
  const at::Tensor weights = at::empty({marks.size(0)}, at::kFloat);
  const auto* mark = marks.const_data_ptr<uint8_t>();
  auto* weight = weights.data_ptr<float>();
  bool all_ordinary = true;
  for (int64_t t = 0; t < marks.size(0); ++t) {
    LG_CHECK(mark[t] <= static_cast<uint8_t>(Mark::answer), "[marks] row ", t,
             ": expected 0 (not learnt), 1 (ordinary) or 2 (answer), found ", int{mark[t]}, ".");
    all_ordinary = all_ordinary && mark[t] == static_cast<uint8_t>(Mark::ordinary);
    weight[t] = mark[t] == static_cast<uint8_t>(Mark::answer) ? static_cast<float>(answer_weight)
                                                              : static_cast<float>(mark[t]);
  }
  return all_ordinary ? at::Tensor() : weights;
}

double sum_of_weights(const at::Tensor& targets_T, const at::Tensor& weights_T) {
  const at::Tensor targets = targets_T.cpu().contiguous();
  const auto* target = targets.const_data_ptr<int64_t>();
  const at::Tensor weights = weights_T.defined() ? weights_T.cpu().contiguous() : weights_T;
  const float* weight = weights.defined() ? weights.const_data_ptr<float>() : nullptr;
  double sum = 0;
  for (int64_t t = 0; t < targets.numel(); ++t) {
    if (target[t] >= 0) sum += weight == nullptr ? 1.0 : static_cast<double>(weight[t]);
  }
  return sum;
}

}  // namespace longgen
