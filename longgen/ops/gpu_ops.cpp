#include "longgen/ops/gpu_ops.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/library.h>

namespace longgen::gpu {
namespace {

/// An op of the dispatcher, called below autograd: ops/autograd.cpp says how gradients flow.
template <typename Signature>
class Op {
 public:
  explicit Op(const char* name)
      : handle_(c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>()) {}

  template <typename... Arguments>
  auto operator()(Arguments&&... arguments) const {
    const at::AutoDispatchBelowADInplaceOrView below;
    return handle_.call(std::forward<Arguments>(arguments)...);
  }

 private:
  c10::TypedOperatorHandle<Signature> handle_;
};

std::optional<at::Tensor> if_defined(const at::Tensor& x) {
  return x.defined() ? std::optional(x) : std::nullopt;
}

using Tensor = const at::Tensor&;
using MaybeTensor = const std::optional<at::Tensor>&;

}  // namespace

bool has_kernels() {
  static const bool found = c10::Dispatcher::singleton()
                                .findSchemaOrThrow("longgen::swiglu", "")
                                .hasKernelForDispatchKey(c10::DispatchKey::CUDA);
  return found;
}

Properties properties() {
  static const Op<std::tuple<std::string, int64_t, int64_t>()> op("longgen::gpu_properties");
  const auto [name, major, minor] = op();
  return {name, major, minor};
}

NormResult rms_norm(Tensor x, Tensor delta, Tensor weight_I, double eps, bool keep_inverse) {
  static const Op<std::tuple<at::Tensor, at::Tensor, at::Tensor>(Tensor, MaybeTensor, Tensor,
                                                                 double, bool)>
      op("longgen::rms_norm");
  const auto [out, sum, inverse] = op(x, if_defined(delta), weight_I, eps, keep_inverse);
  return {out, sum, inverse};
}

std::tuple<at::Tensor, at::Tensor> rms_norm_backward(Tensor grad, Tensor grad_sum, Tensor x,
                                                     Tensor weight_I, Tensor inverse_rms,
                                                     bool need_x, bool need_weight) {
  static const Op<std::tuple<at::Tensor, at::Tensor>(Tensor, MaybeTensor, Tensor, Tensor, Tensor,
                                                     bool, bool)>
      op("longgen::rms_norm_backward");
  return op(grad, if_defined(grad_sum), x, weight_I, inverse_rms, need_x, need_weight);
}

std::tuple<at::Tensor, at::Tensor> rope_table(Tensor positions_T,
                                              const std::vector<double>& frequencies,
                                              double factor) {
  static const Op<std::tuple<at::Tensor, at::Tensor>(Tensor, at::ArrayRef<double>, double)> op(
      "longgen::rope_table");
  return op(positions_T, at::ArrayRef<double>(frequencies), factor);
}

at::Tensor rope(Tensor x_THD, Tensor cos_TR, Tensor sin_TR, bool forward) {
  static const Op<at::Tensor(Tensor, Tensor, Tensor, bool)> op("longgen::rope");
  return op(x_THD, cos_TR, sin_TR, forward);
}

std::tuple<at::Tensor, at::Tensor> rope_qkv(Tensor qkv_TAD, int64_t num_heads, Tensor cos_TR,
                                            Tensor sin_TR) {
  static const Op<std::tuple<at::Tensor, at::Tensor>(Tensor, int64_t, Tensor, Tensor)> op(
      "longgen::rope_qkv");
  return op(qkv_TAD, num_heads, cos_TR, sin_TR);
}

at::Tensor rope_qkv_backward(Tensor grad_q_THD, Tensor grad_k_TKD, Tensor grad_v_TKD, Tensor cos_TR,
                             Tensor sin_TR) {
  static const Op<at::Tensor(Tensor, Tensor, Tensor, Tensor, Tensor)> op(
      "longgen::rope_qkv_backward");
  return op(grad_q_THD, grad_k_TKD, grad_v_TKD, cos_TR, sin_TR);
}

at::Tensor swiglu(Tensor gate_up_TC) {
  static const Op<at::Tensor(Tensor)> op("longgen::swiglu");
  return op(gate_up_TC);
}

at::Tensor swiglu_backward(Tensor grad_TF, Tensor gate_up_TC) {
  static const Op<at::Tensor(Tensor, Tensor)> op("longgen::swiglu_backward");
  return op(grad_TF, gate_up_TC);
}

// Numbers of x (and for the norm of delta and the norm's weight) that a multiprocessor keeps beside
// its stages of the weight.
constexpr int64_t kMostStaged = 81'000;

/// What the copy engine can bring: rows of bfloat16 that begin at multiples of 16 bytes.
bool is_copyable(Tensor x) {
  constexpr int64_t kNumbers = 8;  // of 16 bytes
  const bool has_rows = x.dim() < 2 || x.stride(0) % kNumbers == 0;
  return x.is_cuda() && x.scalar_type() == at::kBFloat16 && x.dim() > 0 && x.stride(-1) == 1 &&
         x.size(-1) % kNumbers == 0 && has_rows &&
         reinterpret_cast<uintptr_t>(x.const_data_ptr()) % 16 == 0;
}

bool are_few_rows(Tensor x_TI, Tensor weight_OI, Tensor bias_O) {
  constexpr int64_t kMostRows = 4;
  return x_TI.dim() == 2 && x_TI.size(0) > 0 && x_TI.size(0) <= kMostRows && x_TI.size(1) > 0 &&
         x_TI.numel() <= kMostStaged && x_TI.size(1) == weight_OI.size(1) &&
         weight_OI.is_contiguous() && is_copyable(x_TI) && is_copyable(weight_OI) &&
         (!bias_O.defined() || bias_O.scalar_type() == at::kBFloat16) && has_kernels();
}

bool fits_norm(Tensor x_TI, const NormBefore& norm) {
  return (2 * x_TI.size(0) + 1) * x_TI.size(1) <= kMostStaged && is_copyable(norm.weight_I) &&
         (!norm.delta_TI.defined() ||
          (norm.delta_TI.is_contiguous() && is_copyable(norm.delta_TI)));
}

FewRowsResult few_rows_linear(Tensor x_TI, const NormBefore& norm, Tensor weight_OI, Tensor bias_O,
                              bool swiglu) {
  static const Op<std::tuple<at::Tensor, at::Tensor>(Tensor, MaybeTensor, MaybeTensor, double,
                                                     Tensor, MaybeTensor, bool)>
      op("longgen::few_rows_linear");
  const auto [out, sum] = op(x_TI, if_defined(norm.delta_TI), if_defined(norm.weight_I), norm.eps,
                             weight_OI, if_defined(bias_O), swiglu);
  return {out, sum};
}

void cross_entropy(Tensor logits_TV, Tensor targets_T, Tensor losses_T, bool make_gradient) {
  static const Op<void(Tensor, Tensor, Tensor, bool)> op("longgen::cross_entropy");
  op(logits_TV, targets_T, losses_T, make_gradient);
}

at::Tensor sum_losses(Tensor losses_T, Tensor targets_T, int64_t num_classes) {
  static const Op<at::Tensor(Tensor, Tensor, int64_t)> op("longgen::sum_losses");
  return op(losses_T, targets_T, num_classes);
}

double sum_of_squares(const std::vector<at::Tensor>& tensors) {
  static const Op<at::Tensor(at::TensorList)> op("longgen::sum_of_squares");
  return op(at::TensorList(tensors)).cpu().const_data_ptr<double>()[0];
}

void adamw(Tensor gradient, Tensor weight, Tensor m, Tensor v, const std::vector<double>& factors,
           uint64_t key) {
  static const Op<void(Tensor, Tensor, Tensor, Tensor, at::ArrayRef<double>, int64_t)> op(
      "longgen::adamw");
  op(gradient, weight, m, v, at::ArrayRef<double>(factors), static_cast<int64_t>(key));
}

void embedding_backward(Tensor grad_TE, Tensor tokens_T, Tensor sum_VE) {
  static const Op<void(Tensor, Tensor, Tensor)> op("longgen::embedding_backward");
  op(grad_TE, tokens_T, sum_VE);
}

TORCH_LIBRARY_FRAGMENT(longgen, library) {
  library.def("gpu_properties() -> (str name, int major, int minor)");
  library.def(
      "rms_norm(Tensor x, Tensor? delta, Tensor weight, float eps, bool keep_inverse) "
      "-> (Tensor out, Tensor sum, Tensor inverse_rms)");
  library.def(
      "rms_norm_backward(Tensor grad, Tensor? grad_sum, Tensor x, Tensor weight, "
      "Tensor inverse_rms, bool need_x, bool need_weight) -> (Tensor grad_x, Tensor grad_weight)");
  library.def(
      "rope_table(Tensor positions, float[] frequencies, float factor) "
      "-> (Tensor cos, Tensor sin)");
  library.def("rope(Tensor x, Tensor cos, Tensor sin, bool forward) -> Tensor");
  library.def(
      "rope_qkv(Tensor qkv, int num_heads, Tensor cos, Tensor sin) -> (Tensor q, Tensor k)");
  library.def(
      "rope_qkv_backward(Tensor grad_q, Tensor grad_k, Tensor grad_v, Tensor cos, Tensor sin) "
      "-> Tensor");
  library.def("swiglu(Tensor gate_up) -> Tensor");
  library.def("swiglu_backward(Tensor grad, Tensor gate_up) -> Tensor");
  library.def(
      "few_rows_linear(Tensor x, Tensor? delta, Tensor? norm_weight, float eps, Tensor weight, "
      "Tensor? bias, bool swiglu) -> (Tensor out, Tensor sum)");
  // What is written to is not marked as such: these are called below autograd, which is what the
  // marks are for.
  library.def(
      "cross_entropy(Tensor logits, Tensor targets, Tensor losses, bool make_gradient) -> ()");
  library.def("sum_losses(Tensor losses, Tensor targets, int num_classes) -> Tensor");
  library.def("sum_of_squares(Tensor[] tensors) -> Tensor");
  library.def(
      "adamw(Tensor gradient, Tensor weight, Tensor m, Tensor v, float[] factors, int key) -> ()");
  library.def("embedding_backward(Tensor grad, Tensor tokens, Tensor sum) -> ()");
}

}  // namespace longgen::gpu
