// ops/linear.h: the product with a weight matrix.
#pragma once

#include <ATen/core/Tensor.h>

namespace longgen {

/// x weight^T + bias, as at::linear gives it: x (T, I), weight (O, I), bias (O) or undefined. Few
/// rows have kernels of ours, which read weights once at the speed of memory: on a GPU 4 of
/// bfloat16 without gradients (gpu::are_few_rows()), on the CPU 64 (of bfloat16 16 where
/// multiplies_bfloat16()), where no bit of a row depends on others. More rows of bfloat16 are
/// multiplied as fp32 where it does not. On the CPU the bits are the same with gradients and
/// without. Sums are fp32; two runs are equal whatever the threads.
at::Tensor linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias = {});

/// A projection of a layer: its weight (O, I), and its bias (O), undefined where there is none; or
/// the gradients of these. Autograd does not record the functions with `grad_TO`, the gradient of
/// the result.
struct Linear {
  at::Tensor weight, bias;

  /// Takes x (T, I) to (T, O).
  at::Tensor forward(const at::Tensor& x_TI) const { return linear(x_TI, weight, bias); }
  /// Does the same without autograd, in memory that there is: rows of a larger tensor.
  void forward_into(at::Tensor out_TO, const at::Tensor& x_TI) const;
  /// Gives the gradient of x, (T, I).
  at::Tensor backward(const at::Tensor& grad_TO) const;
  void backward_into(at::Tensor grad_TI, const at::Tensor& grad_TO) const;
  /// Gives the gradients of weight and bias, in their dtype.
  Linear gradients(const at::Tensor& grad_TO, const at::Tensor& x_TI) const;
  /// Adds the gradients of some of the rows to `sums`, in fp32 (fp64 for fp64). Undefined tensors
  /// in `sums` are zeros that are not made yet.
  void add_gradients(const at::Tensor& grad_TO, const at::Tensor& x_TI, Linear& sums) const;
};

}  // namespace longgen
