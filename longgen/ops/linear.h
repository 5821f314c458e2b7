// ops/linear.h: the product with a weight matrix.
#pragma once

#include <ATen/core/Tensor.h>

namespace longgen {

/// The weight (O, I) of a product and its bias (O), undefined where there is none.
struct Linear {
  at::Tensor weight, bias;
};

/// x weight^T + bias, as at::linear gives it: x (T, I), weight (O, I), bias (O) or undefined. A few
/// rows on the CPU (decoding) without gradients are computed by kernels of ours, which read the
/// weights once at the speed of memory, on all threads; ATen's library reads them on one. A GPU has
/// such a kernel for up to 4 rows of bfloat16 (gpu::are_few_rows()). Everything else is at::linear.
/// Sums are fp32; two runs are bit-equal whatever the threads.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

}  // namespace longgen
