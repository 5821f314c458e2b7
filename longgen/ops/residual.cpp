#include "longgen/ops/residual.h"

#include <optional>

#include "longgen/ops/few_rows.h"
#include "longgen/ops/gradients.h"
#include "longgen/ops/linear.h"

namespace longgen {
namespace {

/// The norm and the product after it in one kernel, where that takes them.
std::optional<NormedLinear> in_one_kernel(const Residual& residual, const NormWeight& norm,
                                          const at::Tensor& weight, const at::Tensor& bias,
                                          bool swiglu) {
  const at::Tensor& x = residual.x_TE;
  const gpu::NormBefore before = {residual.delta_TE, norm.weight_E, norm.eps};
  if (!gpu::are_few_rows(x, weight, bias) || !gpu::fits_norm(x, before) ||
      needs_gradient(x, weight, norm.weight_E)) {
    return std::nullopt;
  }
  const gpu::FewRowsResult result = gpu::ops().few_rows_linear(x, before, weight, bias, swiglu);
  return NormedLinear{residual.delta_TE.defined() ? result.sum : x, result.out};
}

}  // namespace

AddedNorm norm(Residual residual, const NormWeight& norm) {
  if (residual.delta_TE.defined()) {
    return add_rms_norm(residual.x_TE, residual.delta_TE, norm.weight_E, norm.eps);
  }
  return {residual.x_TE, rms_norm(residual.x_TE, norm.weight_E, norm.eps)};
}

NormedLinear norm_linear(Residual residual, const NormWeight& weight_of_norm,
                         const at::Tensor& weight, const at::Tensor& bias) {
  if (auto result = in_one_kernel(residual, weight_of_norm, weight, bias, /*swiglu=*/false)) {
    return *std::move(result);
  }
  AddedNorm x = norm(std::move(residual), weight_of_norm);
  return {std::move(x.sum), linear(std::move(x.normed), weight, bias)};
}

Residual norm_feed_forward(Residual residual, const NormWeight& weight_of_norm,
                           const FeedForward& w) {
  if (auto gates = in_one_kernel(residual, weight_of_norm, w.gate_up, w.gate_up_bias,
                                 /*swiglu=*/true)) {
    return {std::move(gates->sum_TE), linear(gates->out, w.down, w.down_bias)};
  }
  AddedNorm x = norm(std::move(residual), weight_of_norm);
  return {std::move(x.sum), feed_forward(std::move(x.normed), w)};
}

}  // namespace longgen
