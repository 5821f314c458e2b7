// ops/gradients.h: forward passes that keep what their backward passes need, and those backward
// passes, which autograd.cpp joins. The tensors have_row_kernels(), which the callers have checked.
#pragma once

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <cstdint>
#include <vector>

#include "longgen/ops/activation.h"
#include "longgen/ops/linear.h"
#include "longgen/ops/linear_distillation.h"
#include "longgen/ops/norm.h"
#include "longgen/ops/rope.h"

namespace longgen {

/// Whether autograd has to record an op on these tensors. Ops ask it first, so that inference pays
/// for nothing else.
template <typename... Tensors>
bool needs_gradient(const Tensors&... tensors) {
  return at::GradMode::is_enabled() && (tensors.requires_grad() || ...);
}

struct RmsNormGradients {
  at::Tensor x, weight_I;  ///< undefined where not asked for
};
/// rms_norm(), which also fills inverse_rms (rows, fp32) if it is not null.
at::Tensor rms_norm_forward(const at::Tensor& x, const NormWeight& norm, at::Tensor* inverse_rms);
/// The same for add_rms_norm().
AddedNorm add_rms_norm_forward(const at::Tensor& x, const at::Tensor& delta, const NormWeight& norm,
                               at::Tensor* inverse_rms);
RmsNormGradients rms_norm_backward(const at::Tensor& grad, const at::Tensor& x,
                                   const NormWeight& norm, const at::Tensor& inverse_rms,
                                   bool need_x, bool need_weight);
/// The gradients of add_rms_norm_forward(): x is the sum, and its gradient also that of
/// x and delta.
RmsNormGradients add_rms_norm_backward(const AddedNorm& grads, const at::Tensor& x,
                                       const NormWeight& norm, const at::Tensor& inverse_rms,
                                       bool need_x, bool need_weight);

/// What linear() gives on the CPU where kernels of ours make it.
at::Tensor linear_forward(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

enum class Rotation { forward, backward };
at::Tensor rotate(const at::Tensor& x_THD, const RopeTable& table, Rotation rotation);
/// These two exist on a GPU only.
RotatedHeads split_rotated_forward(const at::Tensor& qkv_TAD, int64_t num_heads,
                                   const RopeTable& table);
at::Tensor split_rotated_backward(const RotatedHeads& grads, const RopeTable& table);

at::Tensor glu_forward(const at::Tensor& gate_up_TC, Activation activation);
at::Tensor glu_backward(const at::Tensor& grad_TF, const at::Tensor& gate_up_TC,
                        Activation activation);

/// sum (O, I) += grad (T, O)^T x (T, I), where sum has the type of the two or is fp32 under bf16.
/// On the CPU a bf16 product is rounded to bf16, but added in fp32, a slice of rows at a time so
/// that the product stays small; cuBLAS adds to fp32 itself.
void add_weight_gradient(const at::Tensor& grad_TO, const at::Tensor& x_TI, at::Tensor& sum_OI);

/// Adds a gradient, which may be undefined, to a sum of them, which may have another dtype.
inline void add_gradient(const at::Tensor& gradient, at::Tensor sum) {
  if (gradient.defined()) sum.add_(gradient);
}
inline void add_gradient(const Linear& gradient, const Linear& sum) {
  add_gradient(gradient.weight, sum.weight);
  add_gradient(gradient.bias, sum.bias);
}

struct LinearLoss;  // linear_loss.h
/// What linear_loss_forward() gives, on any device and in any dtype.
struct LinearLossResult {
  at::Tensor loss, cross_entropy;
  at::Tensor divergence;      ///< undefined without a teacher
  at::Tensor grad_hidden_TE;  ///< undefined where not asked for
  at::Tensor grad_weight_VE;  ///< fp32 for bf16 weights
};
LinearLossResult linear_loss_forward(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                                     const LinearLoss& loss, bool need_hidden, bool need_weight);

// The ops as autograd records them.
at::Tensor differentiable_rms_norm(const at::Tensor& x, const NormWeight& norm);
AddedNorm differentiable_add_rms_norm(const at::Tensor& x, const at::Tensor& delta,
                                      const NormWeight& norm);
at::Tensor differentiable_linear(const at::Tensor& x, const at::Tensor& weight,
                                 const at::Tensor& bias);
at::Tensor differentiable_rope(const at::Tensor& x_THD, const RopeTable& table);
RotatedHeads differentiable_split_rotated(const at::Tensor& qkv_TAD, int64_t num_heads,
                                          const RopeTable& table);
at::Tensor differentiable_glu(const at::Tensor& gate_up_TC, Activation activation);
DistillationLoss differentiable_linear_loss(const at::Tensor& hidden_TE,
                                            const at::Tensor& weight_VE, const LinearLoss& loss);

}  // namespace longgen
