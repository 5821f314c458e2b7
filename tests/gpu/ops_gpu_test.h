// What the tests of the ops on a GPU share: inputs that lie alike on both devices.
#pragma once

#include "tests/gpu/gpu_test.h"
#include "tests/unit/ops/ops_test_support.h"

namespace longgen {

/// A tensor as it lies in memory, and the view of it that the op gets: moving a view to the GPU
/// would make it contiguous.
struct Input {
  at::Tensor base;
  std::function<at::Tensor(const at::Tensor&)> view = [](const at::Tensor& x) { return x; };

  at::Tensor cpu(at::ScalarType type) const { return view(base.to(type)); }
  /// The same numbers in fp64.
  at::Tensor exact(at::ScalarType type) const { return view(base.to(type).to(at::kDouble)); }
  at::Tensor gpu(at::ScalarType type) const { return view(on_gpu(base.to(type))); }
};

inline OpResult to_cpu(const OpResult& result) {
  OpResult moved = {result.out.cpu(), {}};
  for (const at::Tensor& grad : result.grads) moved.grads.push_back(grad.cpu());
  return moved;
}

inline OpResult run_on_gpu(const Op& op, const std::vector<Input>& inputs, at::ScalarType type,
                           const at::Tensor& grad) {
  std::vector<at::Tensor> moved;
  for (const Input& input : inputs) moved.push_back(input.gpu(type));
  return to_cpu(run_op(op, moved, on_gpu(grad)));
}

}  // namespace longgen
