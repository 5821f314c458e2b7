#include "longgen/ops/linear.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "longgen/ops/few_rows.h"
#include "longgen/ops/gradients.h"
#include "longgen/ops/tensors.h"

namespace longgen {
namespace {

// More rows than these use the weights often enough for ATen's blocked product.
constexpr int64_t kFewRows = 4;

bool takes_few_rows(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const bool one_type = weight.scalar_type() == x.scalar_type() &&
                        (!bias.defined() || bias.scalar_type() == x.scalar_type());
  return x.dim() == 2 && x.size(0) <= kFewRows && x.size(0) > 0 && x.size(1) > 0 && one_type &&
         x.size(1) == weight.size(1) && has_row_kernels(x) && weight.is_cpu() &&
         weight.is_contiguous() && !needs_gradient(x, weight);
}

}  // namespace

void add_weight_gradient(const at::Tensor& grad_TO, const at::Tensor& x_TI, at::Tensor& sum_OI) {
  if (sum_OI.scalar_type() == x_TI.scalar_type()) {
    sum_OI.addmm_(grad_TO.t(), x_TI);
    return;
  }
  if (sum_OI.is_cuda()) {
    at::addmm_out(sum_OI, sum_OI, grad_TO.t(), x_TI, at::kFloat);
    return;
  }
  constexpr int64_t kSliceRows = 8192;
  const int64_t num_rows = sum_OI.size(0);
  for (int64_t first = 0; first < num_rows; first += kSliceRows) {
    const int64_t count = std::min(kSliceRows, num_rows - first);
    sum_OI.narrow(0, first, count).add_(at::mm(grad_TO.narrow(1, first, count).t(), x_TI));
  }
}

at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (gpu::are_few_rows(x, weight, bias) && !needs_gradient(x, weight)) {
    return gpu::ops().few_rows_linear(x, {}, weight, bias, /*swiglu=*/false).out;
  }
  if (!takes_few_rows(x, weight, bias)) {
    return at::linear(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
  }
  const at::Tensor rows = with_contiguous_rows(x);
  const at::Tensor bias_O = bias.defined() ? bias.contiguous() : at::Tensor();
  const int64_t num_outputs = weight.size(0), width = weight.size(1);
  const at::Tensor out = at::empty({x.size(0), num_outputs}, x.options());
  const cpu::Linear job = {is_bf16(x),
                           rows.size(0),
                           width,
                           num_outputs,
                           rows.const_data_ptr(),
                           rows.stride(0),
                           weight.const_data_ptr(),
                           bias_O.defined() ? bias_O.const_data_ptr() : nullptr,
                           out.data_ptr()};
  parallel_rows(num_outputs, width,
                [&job](int64_t begin, int64_t end) { cpu::row_kernels().linear(job, begin, end); });
  return out;
}

void Linear::forward_into(at::Tensor out_TO, const at::Tensor& x_TI) const {
  if (bias.defined()) {
    at::addmm_out(out_TO, bias, x_TI, weight.t());
  } else {
    at::mm_out(out_TO, x_TI, weight.t());
  }
}

at::Tensor Linear::backward(const at::Tensor& grad_TO) const { return at::mm(grad_TO, weight); }

void Linear::backward_into(at::Tensor grad_TI, const at::Tensor& grad_TO) const {
  at::mm_out(grad_TI, grad_TO, weight);
}

Linear Linear::gradients(const at::Tensor& grad_TO, const at::Tensor& x_TI) const {
  return {at::mm(grad_TO.t(), x_TI), bias.defined() ? grad_TO.sum(0) : at::Tensor()};
}

void Linear::add_gradients(const at::Tensor& grad_TO, const at::Tensor& x_TI, Linear& sums) const {
  const at::ScalarType type = compute_type(x_TI);
  if (!sums.weight.defined()) {
    sums.weight = at::zeros({grad_TO.size(1), x_TI.size(1)}, x_TI.options().dtype(type));
  }
  add_weight_gradient(grad_TO, x_TI, sums.weight);
  if (!bias.defined()) return;
  const at::Tensor rows = grad_TO.sum(0, /*keepdim=*/false, type);
  sums.bias = sums.bias.defined() ? sums.bias.add_(rows) : rows;
}

}  // namespace longgen
