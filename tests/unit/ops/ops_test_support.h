// tests/unit/ops/ops_test_support.h: how the op tests measure errors, gradients, memory and bits.
#pragma once

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/ThreadLocalDebugInfo.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "longgen/base/check.h"
#include "tests/unit/error_text.h"

namespace longgen {

inline double max_abs(const at::Tensor& x) {
  return x.numel() == 0 ? 0.0 : x.to(at::kDouble).abs().max().item<double>();
}

inline double max_abs_diff(const at::Tensor& a, const at::Tensor& b) {
  return max_abs(a.to(at::kDouble) - b.to(at::kDouble));
}

/// Gives the distance of neighbouring numbers of `type` at the largest value of x: the least error
/// that rounding can make.
inline double spacing(const at::Tensor& x, at::ScalarType type) {
  return max_abs(x) * (type == at::kBFloat16 ? 0x1p-8 : 0x1p-23);
}

/// Expects ours to be at most twice as wrong as plain torch in the same dtype. `terms` are numbers
/// of the size that the result is a sum or difference of; their fp32 rounding cannot be avoided.
inline void expect_within_twice(const at::Tensor& ours, const at::Tensor& plain,
                                const at::Tensor& truth, at::ScalarType type,
                                const std::string& what, const at::Tensor& terms = {}) {
  ASSERT_EQ(ours.sizes(), truth.sizes()) << what;
  EXPECT_EQ(ours.scalar_type(), type) << what;
  const double floor = terms.defined() ? 4 * spacing(terms, at::kFloat) : 0.0;
  EXPECT_LE(max_abs_diff(ours, truth),
            2 * max_abs_diff(plain, truth) + spacing(truth, type) + floor)
      << what << " " << type;
}

using Op = std::function<at::Tensor(const std::vector<at::Tensor>&)>;

struct OpResult {
  at::Tensor out;
  std::vector<at::Tensor> grads;
};

/// Gives the result of op and the gradients of sum(result * grad_out) for all inputs. Inputs may be
/// views: they stay what they are, with their own strides.
inline OpResult run_op(const Op& op, const std::vector<at::Tensor>& inputs,
                       const at::Tensor& grad_out) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& x : inputs) leaves.push_back(x.detach().requires_grad_());
  const at::Tensor out = op(leaves);
  out.backward(grad_out.to(out.scalar_type()));
  OpResult result = {out.detach(), {}};
  for (const at::Tensor& leaf : leaves) result.grads.push_back(leaf.grad());
  return result;
}

inline std::vector<at::Tensor> as_type(const std::vector<at::Tensor>& inputs, at::ScalarType type) {
  std::vector<at::Tensor> result;
  for (const at::Tensor& x : inputs) result.push_back(x.to(type));  // to() keeps strides
  return result;
}

/// Whether all bits are the same: -0 differs from 0, and a NaN equals one of the same bits.
inline bool same_bits(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes() || a.scalar_type() != b.scalar_type()) return false;
  const auto bits = [](const at::Tensor& x) { return x.contiguous().flatten().view(at::kByte); };
  return a.numel() == 0 || at::equal(bits(a), bits(b));
}

/// Expects the same results of run() with 1, 2 and 3 threads and in two runs.
inline void expect_same_bits_on_any_threads(const std::function<std::vector<at::Tensor>()>& run) {
  const int before = at::get_num_threads();
  at::set_num_threads(1);
  const std::vector<at::Tensor> one = run();
  for (const int threads : {1, 2, 3}) {
    at::set_num_threads(threads);
    const std::vector<at::Tensor> other = run();
    for (size_t i = 0; i < one.size(); ++i) {
      EXPECT_TRUE(same_bits(one[i], other[i])) << "result " << i << ", threads " << threads;
    }
  }
  at::set_num_threads(before);
}

inline void expect_contains(const std::string& text, const std::string& part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

/// Counts what tensors on the CPU hold on this thread while it lives.
class TensorMemory : public c10::MemoryReportingInfoBase {
 public:
  void reportMemoryUsage(void*, int64_t bytes, size_t, size_t, c10::Device) override {
    held_bytes_ += bytes;
    peak_bytes_ = std::max(peak_bytes_, held_bytes_);
  }
  bool memoryProfilingEnabled() const override { return true; }
  int64_t peak_bytes() const { return peak_bytes_; }

 private:
  int64_t held_bytes_ = 0, peak_bytes_ = 0;
};

/// Returns the most bytes that tensors made by action held at once.
template <typename Action>
int64_t peak_tensor_bytes(const Action& action) {
  const auto memory = std::make_shared<TensorMemory>();
  const c10::DebugInfoGuard guard(c10::DebugInfoKind::PROFILER_STATE, memory);
  action();
  return memory->peak_bytes();
}

}  // namespace longgen
