// ops/few_rows.h: which products of few rows the GPU has a kernel of ours for (gpu::Ops).
#pragma once

#include "longgen/ops/gpu_ops.h"

namespace longgen::gpu {

/// Whether few_rows_linear() takes these: bfloat16, up to 4 rows and 81,000 numbers of x, whose
/// product with the weight (O, I) takes the time of reading it. I must be a multiple of 8. Never
/// where the plug-in is missing.
bool are_few_rows(const at::Tensor& x_TI, const at::Tensor& weight_OI, const at::Tensor& bias_O);
/// Whether few_rows_linear() can make that norm of x, too.
bool fits_norm(const at::Tensor& x_TI, const NormBefore& norm);

}  // namespace longgen::gpu
