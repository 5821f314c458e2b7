#include "longgen/ops/linear.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <memory>

#include "longgen/base/cpu_features.h"
#include "longgen/ops/few_rows.h"
#include "longgen/ops/gradients.h"
#include "longgen/ops/tensors.h"

namespace longgen {
namespace {

// Beyond these rows the library's tiles of bfloat16 (AMX) are faster than reading the weights
// takes.
constexpr int64_t kFewRowsBesideTiles = 16;

/// Whether ATen's library would multiply bf16 more slowly than fp32.
bool is_slow_bf16(const at::Tensor& x) { return is_bf16(x) && !multiplies_bfloat16(); }

/// Whether these are rows, weights and a bias of one type in the memory of the CPU, which fit. What
/// does not is at::linear's to refuse.
bool fits(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  return x.dim() == 2 && weight.dim() == 2 && x.is_cpu() && weight.is_cpu() && x.numel() > 0 &&
         x.size(1) == weight.size(1) && weight.scalar_type() == x.scalar_type() &&
         (!bias.defined() || (bias.dim() == 1 && bias.size(0) == weight.size(0) &&
                              bias.scalar_type() == x.scalar_type()));
}

/// Who makes a product on the CPU: kernels of ours, the library in fp32, or the library.
enum class Maker { few_rows, widened, library };

Maker maker_of(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (!fits(x, weight, bias)) return Maker::library;
  const int64_t most = is_bf16(x) && !is_slow_bf16(x) ? kFewRowsBesideTiles : cpu::kMostLinearRows;
  if (x.size(0) <= most && has_row_kernels(x) && weight.is_contiguous()) return Maker::few_rows;
  return is_slow_bf16(x) ? Maker::widened : Maker::library;
}

at::Tensor few_rows_linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  const at::Tensor rows = with_contiguous_rows(x);
  const at::Tensor bias_O = bias.defined() ? bias.contiguous() : at::Tensor();
  const int64_t num_rows = x.size(0), num_outputs = weight.size(0), width = weight.size(1);
  const at::Tensor out = at::empty({num_rows, num_outputs}, x.options());
  const auto prepared =
      std::make_unique_for_overwrite<float[]>(num_rows * cpu::padded_linear_width(width));
  const cpu::RowKernels& kernels = cpu::row_kernels();
  kernels.linear_rows({is_bf16(x), width, rows.const_data_ptr(), rows.stride(0), prepared.get()}, 0,
                      num_rows);
  const cpu::Linear job = {is_bf16(x),
                           num_rows,
                           width,
                           num_outputs,
                           prepared.get(),
                           weight.const_data_ptr(),
                           bias_O.defined() ? bias_O.const_data_ptr() : nullptr,
                           out.data_ptr()};
  parallel_rows(num_outputs, width,
                [&](int64_t begin, int64_t end) { kernels.linear(job, begin, end); });
  return out;
}

/// The product of many rows of bf16 in fp32, whose weights are widened a part at a time.
void widened_linear_into(const at::Tensor& out_TO, const at::Tensor& x_TI, const Linear& w) {
  constexpr int64_t kWidenedNumbers = int64_t{1} << 20;  // 4 MiB, which stay in the caches
  const at::Tensor wide_TI = x_TI.to(at::kFloat);
  const int64_t num_outputs = w.weight.size(0);
  const int64_t most = std::max<int64_t>(1, kWidenedNumbers / std::max<int64_t>(1, x_TI.size(1)));
  for (int64_t first = 0; first < num_outputs; first += most) {
    const int64_t count = std::min(most, num_outputs - first);
    const auto part = [&](const at::Tensor& x) { return x.narrow(0, first, count).to(at::kFloat); };
    const at::Tensor weight_IO = part(w.weight).t();
    out_TO.narrow(1, first, count)
        .copy_(w.bias.defined() ? at::addmm(part(w.bias), wide_TI, weight_IO)
                                : at::mm(wide_TI, weight_IO));
  }
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
  if (maker_of(x, weight, bias) == Maker::library) {
    return at::linear(x, weight, bias.defined() ? std::optional(bias) : std::nullopt);
  }
  const bool is_recorded = needs_gradient(x, weight) || (bias.defined() && needs_gradient(bias));
  return is_recorded ? differentiable_linear(x, weight, bias) : linear_forward(x, weight, bias);
}

at::Tensor linear_forward(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  if (maker_of(x, weight, bias) == Maker::few_rows) return few_rows_linear(x, weight, bias);
  const at::Tensor out_TO = at::empty({x.size(0), weight.size(0)}, x.options());
  Linear{weight, bias}.forward_into(out_TO, x);
  return out_TO;
}

void Linear::forward_into(at::Tensor out_TO, const at::Tensor& x_TI) const {
  const Maker maker = maker_of(x_TI, weight, bias);
  if (maker == Maker::few_rows) {
    out_TO.copy_(few_rows_linear(x_TI, weight, bias));
  } else if (maker == Maker::widened) {
    widened_linear_into(out_TO, x_TI, *this);
  } else if (bias.defined()) {
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
