// ops/gpu_ops.h: the ops on CUDA tensors. Called through torch's dispatcher and implemented by the
// GPU plug-in (cuda/binding.cpp), so that nothing of CUDA is linked. They check no shapes: their
// callers do.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <tuple>
#include <vector>

namespace longgen::gpu {

/// Whether the plug-in with the kernels is loaded.
bool has_kernels();

struct Properties {
  std::string name;              ///< "NVIDIA H200"
  int64_t major = 0, minor = 0;  ///< compute capability
};
/// Of the first GPU; with has_kernels() only.
Properties properties();

struct NormResult {
  at::Tensor out;
  at::Tensor sum;          ///< x + delta, where there is a delta
  at::Tensor inverse_rms;  ///< (rows) fp32, where asked for
};
/// delta: x's shape; undefined for none.
NormResult rms_norm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight_I,
                    double eps, bool keep_inverse);
/// Gradients of x (and of delta, the same) and of the weight; undefined where not asked for.
/// grad_sum: the gradient of `sum`, undefined for none.
std::tuple<at::Tensor, at::Tensor> rms_norm_backward(
    const at::Tensor& grad, const at::Tensor& grad_sum, const at::Tensor& x,
    const at::Tensor& weight_I, const at::Tensor& inverse_rms, bool need_x, bool need_weight);

/// positions (T) int64; at most 128 frequencies. cos and sin (T, frequencies) fp32.
std::tuple<at::Tensor, at::Tensor> rope_table(const at::Tensor& positions_T,
                                              const std::vector<double>& frequencies,
                                              double factor);
at::Tensor rope(const at::Tensor& x_THD, const at::Tensor& cos_TR, const at::Tensor& sin_TR,
                bool forward);
/// q and k of qkv (T, H + 2K, D), rotated.
std::tuple<at::Tensor, at::Tensor> rope_qkv(const at::Tensor& qkv_TAD, int64_t num_heads,
                                            const at::Tensor& cos_TR, const at::Tensor& sin_TR);
/// The gradient of qkv.
at::Tensor rope_qkv_backward(const at::Tensor& grad_q_THD, const at::Tensor& grad_k_TKD,
                             const at::Tensor& grad_v_TKD, const at::Tensor& cos_TR,
                             const at::Tensor& sin_TR);

at::Tensor swiglu(const at::Tensor& gate_up_TC);
at::Tensor swiglu_backward(const at::Tensor& grad_TF, const at::Tensor& gate_up_TC);

/// Whether few_rows_linear() takes these: bfloat16, up to 4 rows and 81,000 numbers of x, whose
/// product with the weight (O, I) takes the time of reading it. I must be a multiple of 8. Not
/// without the plug-in.
bool are_few_rows(const at::Tensor& x_TI, const at::Tensor& weight_OI, const at::Tensor& bias_O);
/// The norm before few_rows_linear(). weight_I undefined: none; delta_TI undefined: nothing added.
struct NormBefore {
  at::Tensor delta_TI, weight_I;
  double eps = 0;
};
/// Whether it can make that norm of x, too.
bool fits_norm(const at::Tensor& x_TI, const NormBefore& norm);

struct FewRowsResult {
  at::Tensor out;
  at::Tensor sum;  ///< x + delta, where there is a delta
};
/// x weight^T + bias, or rms_norm(x + delta) weight^T + bias; with `swiglu` the swiglu() of that.
/// bias: undefined for none.
FewRowsResult few_rows_linear(const at::Tensor& x_TI, const NormBefore& norm,
                              const at::Tensor& weight_OI, const at::Tensor& bias_O, bool swiglu);

/// Losses (T) fp64 of a chunk of logits, which become the gradients where asked for. A target that
/// is no class counts as none.
void cross_entropy(const at::Tensor& logits_TV, const at::Tensor& targets_T,
                   const at::Tensor& losses_T, bool make_gradient);
/// (2) fp64: the sum in a fixed order, and the first row whose target is neither kNoTarget nor a
/// class, or -1.
at::Tensor sum_losses(const at::Tensor& losses_T, const at::Tensor& targets_T, int64_t num_classes);

/// The sum of squares of all tensors (fp32 or bf16, contiguous) in double, in a fixed order.
double sum_of_squares(const std::vector<at::Tensor>& tensors);
/// As update() in train/optimizer.cpp, with its factors: grad_scale, new_share1, new_share2,
/// step_size, inverse_root_correction2, eps, keep; and the key of its random numbers. All fp32 or
/// all bf16.
void adamw(const at::Tensor& gradient, const at::Tensor& weight, const at::Tensor& m,
           const at::Tensor& v, const std::vector<double>& factors, uint64_t key);

/// sum (V, E) fp32 += rows of grad (T, E), each to that of its token. As index_add_(), which adds
/// in another order in every run.
void embedding_backward(const at::Tensor& grad_TE, const at::Tensor& tokens_T,
                        const at::Tensor& sum_VE);

}  // namespace longgen::gpu
