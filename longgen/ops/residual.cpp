#include "longgen/ops/residual.h"

#include <optional>

#include "longgen/ops/few_rows.h"
#include "longgen/ops/gradients.h"

namespace longgen {
namespace {

/// The norm and the product after it in one kernel, where that takes them.
std::optional<NormedLinear> in_one_kernel(const Residual& residual, const NormWeight& norm,
                                          const Linear& w, bool swiglu) {
  const at::Tensor& x = residual.x_TE;
  const gpu::NormBefore before = {residual.delta_TE, norm.weight_E, norm.eps};
  if (!gpu::are_few_rows(x, w.weight, w.bias) || !gpu::fits_norm(x, before) ||
      needs_gradient(x, w.weight, norm.weight_E)) {
    return std::nullopt;
  }
  const gpu::FewRowsResult result = gpu::ops().few_rows_linear(x, before, w.weight, w.bias, swiglu);
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
                         const Linear& weights) {
  if (auto result = in_one_kernel(residual, weight_of_norm, weights, /*swiglu=*/false)) {
    return *std::move(result);
  }
  AddedNorm x = norm(std::move(residual), weight_of_norm);
  return {std::move(x.sum), weights.forward(std::move(x.normed))};
}

Residual norm_feed_forward(Residual residual, const NormWeight& weight_of_norm,
                           const FeedForward& w) {
  if (auto gates = in_one_kernel(residual, weight_of_norm, w.gate_up, /*swiglu=*/true)) {
    return {std::move(gates->sum_TE), w.down.forward(gates->out)};
  }
  AddedNorm x = norm(std::move(residual), weight_of_norm);
  return {std::move(x.sum), feed_forward(std::move(x.normed), w)};
}

}  // namespace longgen
