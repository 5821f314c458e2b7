// ops/gpu_ops.h: the ops on CUDA tensors, as the GPU plug-in gives them (ops/cuda/binding.cpp).
// They check no shapes, and autograd does not record them: their callers, the ops of this folder,
// see to both.
#pragma once

#include <ATen/core/Tensor.h>

#include <tuple>
#include <vector>

#include "longgen/device/gpu_backend.h"

namespace longgen::gpu {

struct NormResult {
  at::Tensor out;
  at::Tensor sum;          ///< x + delta, where there is a delta
  at::Tensor inverse_rms;  ///< (rows) fp32, where asked for
};

/// The norm that few_rows_linear() makes first. An undefined weight_I means no norm, an undefined
/// delta_TI that nothing is added.
struct NormBefore {
  at::Tensor delta_TI, weight_I;
  double eps = 0;
};
struct FewRowsResult {
  at::Tensor out;
  at::Tensor sum;  ///< x + delta, where there is a delta
};

/// The numbers of one AdamW step that train/optimizer.cpp computes, on the CPU, too. `keep` is what
/// weight decay leaves of a weight.
struct AdamWFactors {
  float grad_scale, new_share1, new_share2, step_size, inverse_root_correction2, eps, keep;
};

/// Runs on the current stream of the tensors' device, and waits for nothing unless it says so.
/// Members are references, so that a table with a gap does not compile.
struct Ops {
  /// The norm of x, or of x + delta. delta has the shape of x and is undefined for none.
  NormResult (&rms_norm)(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight_I,
                         double eps, bool keep_inverse);
  /// The gradients of x (and of delta, which is the same) and of the weight, undefined where not
  /// asked for. grad_sum is the gradient of `sum`, undefined for none.
  std::tuple<at::Tensor, at::Tensor> (&rms_norm_backward)(
      const at::Tensor& grad, const at::Tensor& grad_sum, const at::Tensor& x,
      const at::Tensor& weight_I, const at::Tensor& inverse_rms, bool need_x, bool need_weight);

  /// cos and sin (T, frequencies) fp32 of positions (T) int64; at most 128 frequencies.
  std::tuple<at::Tensor, at::Tensor> (&rope_table)(const at::Tensor& positions_T,
                                                   const std::vector<double>& frequencies,
                                                   double factor);
  /// x rotated by the table's angles, or back by them.
  at::Tensor (&rope)(const at::Tensor& x_THD, const at::Tensor& cos_TR, const at::Tensor& sin_TR,
                     bool forward);
  /// The rotated q and k of qkv (T, H + 2K, D).
  std::tuple<at::Tensor, at::Tensor> (&rope_qkv)(const at::Tensor& qkv_TAD, int64_t num_heads,
                                                 const at::Tensor& cos_TR,
                                                 const at::Tensor& sin_TR);
  /// The gradient of qkv.
  at::Tensor (&rope_qkv_backward)(const at::Tensor& grad_q_THD, const at::Tensor& grad_k_TKD,
                                  const at::Tensor& grad_v_TKD, const at::Tensor& cos_TR,
                                  const at::Tensor& sin_TR);

  /// (T, F) of gate and up (T, 2F) side by side, and their gradient.
  at::Tensor (&swiglu)(const at::Tensor& gate_up_TC);
  at::Tensor (&swiglu_backward)(const at::Tensor& grad_TF, const at::Tensor& gate_up_TC);

  /// x weight^T + bias, or rms_norm(x + delta) weight^T + bias; with `swiglu` the swiglu() of that.
  /// bias is undefined for none. What it takes says ops/few_rows.h.
  FewRowsResult (&few_rows_linear)(const at::Tensor& x_TI, const NormBefore& norm,
                                   const at::Tensor& weight_OI, const at::Tensor& bias_O,
                                   bool swiglu);

  /// Writes the losses (T) fp64 of a chunk of logits, which become the gradients where asked for. A
  /// target that is no class counts as none.
  void (&cross_entropy)(const at::Tensor& logits_TV, const at::Tensor& targets_T,
                        const at::Tensor& losses_T, bool make_gradient);
  /// The same beside a teacher's logits (T, V), with the divergences (T) fp64 of the student from
  /// it; the gradient is that of (1 - share) loss + share divergence.
  void (&distillation)(const at::Tensor& logits_TV, const at::Tensor& teacher_TV, double share,
                       const at::Tensor& targets_T, const at::Tensor& losses_T,
                       const at::Tensor& divergences_T, bool make_gradient);
  /// Gives two numbers in fp64: the sum in a fixed order, and the first row whose target is neither
  /// kNoTarget nor a class, or -1.
  at::Tensor (&sum_losses)(const at::Tensor& losses_T, const at::Tensor& targets_T,
                           int64_t num_classes);

  /// The sum of squares of all tensors (fp32 or bf16, contiguous) in double, in a fixed order.
  /// Waits for it.
  double (&sum_of_squares)(const std::vector<at::Tensor>& tensors);
  /// Does what update() in train/optimizer.cpp does, with `key` for its random numbers. All tensors
  /// are fp32 or all are bf16.
  void (&adamw)(const at::Tensor& gradient, const at::Tensor& weight, const at::Tensor& m,
                const at::Tensor& v, const AdamWFactors& factors, uint64_t key);

  /// Adds the rows of grad (T, E) to sum (V, E) in fp32, each to the row of its token, in a fixed
  /// order; index_add_() adds in another order in every run.
  void (&embedding_backward)(const at::Tensor& grad_TE, const at::Tensor& tokens_T,
                             const at::Tensor& sum_VE);
};

/// Whether the plug-in with the kernels is loaded.
inline bool has_kernels() { return find_gpu_backend() != nullptr; }
/// Throws Error where it is not.
inline const Ops& ops() { return gpu_backend().ops; }

}  // namespace longgen::gpu
