#include "longgen/bench/row_error.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/isnan.h>
#include <ATen/ops/maximum.h>

#include <cmath>

namespace longgen {

namespace {

/// Rows that are smaller are as good as zero: fp32 ends at 2^-126, and what is flushed to zero
/// there may be added up.
constexpr double kLeastSize = 0x1p-100;

}  // namespace

at::Tensor row_errors(const at::Tensor& found, const at::Tensor& truth,
                      const at::Tensor& term_sizes) {
  const at::Tensor sizes = at::maximum(truth.abs(), term_sizes).amax(-1).clamp_min(kLeastSize);
  const at::Tensor errors = (found.to(at::kDouble) - truth).abs().amax(-1) / sizes;
  return errors.masked_fill(at::isnan(errors), INFINITY);
}

double output_tolerance(at::ScalarType dtype) { return dtype == at::kBFloat16 ? 0x1p-7 : 0x1p-14; }
double gradient_tolerance(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? 0x1p-6 : 0x1p-14;
}

}  // namespace longgen
