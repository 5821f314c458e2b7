#include "longgen/ops/cuda/binding.h"

#include <ATen/core/LegacyTypeDispatch.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/sort.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>

#include "longgen/attention/operator.h"
#include "longgen/base/check.h"
#include "longgen/ops/cuda/row_kernels.h"
#include "longgen/ops/rows_of.h"

namespace longgen {
namespace {

using at::Tensor;
using gpu::FewRowsResult, gpu::NormBefore, gpu::NormResult;

void check_cuda(cudaError_t error) {
  LG_CHECK(error == cudaSuccess, "[ops] CUDA: ", cudaGetErrorString(error), ".");
}
/// Throws Error where the launch before was refused. What a kernel does wrong shows at
/// a later call.
void check_launch() { check_cuda(cudaGetLastError()); }

/// The device of x and its current stream, below autograd, for the time of an op.
class Launch {
 public:
  explicit Launch(const Tensor& x)
      : guard_(x.device()), stream_(c10::cuda::getCurrentCUDAStream()) {}
  template <typename Job>
  void operator()(void (*kernel)(const Job&, cudaStream_t), const Job& job) const {
    kernel(job, stream_);
    check_launch();
  }
  cudaStream_t stream() const { return stream_; }

 private:
  at::AutoDispatchBelowADInplaceOrView below_;
  c10::cuda::CUDAGuard guard_;
  c10::cuda::CUDAStream stream_;
};

bool is_bf16(const Tensor& x) {
  LG_CHECK(x.scalar_type() == at::kBFloat16 || x.scalar_type() == at::kFloat,
           "[ops] on a GPU tensors must be bfloat16 or float32, found ", describe("x", x), ".");
  return x.scalar_type() == at::kBFloat16;
}

Tensor contiguous_or_none(const Tensor& x) { return x.defined() ? x.contiguous() : Tensor(); }
const void* data_or_null(const Tensor& x) { return x.defined() ? x.const_data_ptr() : nullptr; }

NormResult rms_norm(const Tensor& x, const Tensor& delta_in, const Tensor& weight_in, double eps,
                    bool keep_inverse) {
  const Launch launch(x);
  const RowsOf rows(x);
  const Tensor delta = contiguous_or_none(delta_in), weight = weight_in.contiguous();
  const Tensor out = at::empty(x.sizes(), x.options());
  const Tensor sum = delta.defined() ? at::empty(x.sizes(), x.options()) : Tensor();
  const Tensor inverse =
      keep_inverse ? at::empty({rows.count()}, x.options().dtype(at::kFloat)) : Tensor();
  const cuda::RmsNorm job = {.is_bf16 = is_bf16(x),
                             .num_rows = rows.count(),
                             .width = static_cast<int>(x.size(-1)),
                             .eps = static_cast<float>(eps),
                             .x = rows.rows(),
                             .delta = data_or_null(delta),
                             .weight = weight.const_data_ptr(),
                             .sum = sum.defined() ? sum.data_ptr() : nullptr,
                             .out = out.data_ptr(),
                             .inverse_rms = keep_inverse ? inverse.data_ptr<float>() : nullptr};
  launch(cuda::rms_norm, job);
  return {out, sum, inverse};
}

std::tuple<Tensor, Tensor> rms_norm_backward(const Tensor& grad, const Tensor& grad_sum_in,
                                             const Tensor& x, const Tensor& weight_in,
                                             const Tensor& inverse_rms, bool need_x,
                                             bool need_weight) {
  const Launch launch(x);
  const RowsOf rows(x), grad_rows(grad);
  const int64_t width = x.size(-1);
  LG_CHECK(!need_weight || width <= cuda::kMaxNormWidth, "[rms_norm] the gradient of a weight of ",
           width, " numbers: the GPU kernel takes at most ", cuda::kMaxNormWidth,
           ". Train this model on the CPU.");
  const Tensor grad_sum = contiguous_or_none(grad_sum_in), weight = weight_in.contiguous();
  const Tensor grad_x = need_x ? at::empty(x.sizes(), x.options()) : Tensor();
  const Tensor grad_weight = need_weight ? at::empty({width}, x.options()) : Tensor();
  const Tensor pieces = need_weight ? at::empty({cuda::num_norm_pieces(rows.count()), width},
                                                x.options().dtype(at::kFloat))
                                    : Tensor();
  const cuda::RmsNormBackward job = {.is_bf16 = is_bf16(x),
                                     .num_rows = rows.count(),
                                     .width = static_cast<int>(width),
                                     .x = rows.rows(),
                                     .grad = grad_rows.rows(),
                                     .weight = weight.const_data_ptr(),
                                     .inverse_rms = inverse_rms.const_data_ptr<float>(),
                                     .grad_sum = data_or_null(grad_sum),
                                     .grad_x = need_x ? grad_x.data_ptr() : nullptr,
                                     .grad_weight = need_weight ? grad_weight.data_ptr() : nullptr,
                                     .pieces = need_weight ? pieces.data_ptr<float>() : nullptr};
  launch(cuda::rms_norm_backward, job);
  return {grad_x, grad_weight};
}

std::tuple<Tensor, Tensor> rope_table(const Tensor& positions_in,
                                      const std::vector<double>& frequencies, double factor) {
  const Launch launch(positions_in);
  const Tensor positions = positions_in.contiguous();
  const auto half = static_cast<int64_t>(frequencies.size());
  LG_CHECK(half <= cuda::kMaxHalf, "[rope] the GPU kernel takes heads of at most ",
           2 * cuda::kMaxHalf, " numbers, found ", 2 * half, ".");
  const Tensor cos = at::empty({positions.size(0), half}, positions.options().dtype(at::kFloat));
  const Tensor sin = at::empty({positions.size(0), half}, positions.options().dtype(at::kFloat));
  cuda::RopeTable job = {.positions = positions.const_data_ptr<int64_t>(),
                         .num_tokens = positions.size(0),
                         .half = static_cast<int>(half),
                         .factor = factor,
                         .frequencies = {},
                         .cos = cos.data_ptr<float>(),
                         .sin = sin.data_ptr<float>()};
  std::copy(frequencies.begin(), frequencies.end(), job.frequencies);
  launch(cuda::rope_table, job);
  return {cos, sin};
}

/// Describes heads that go from x (T, heads, D) to out (T, heads, D).
cuda::Heads heads(const Tensor& x, const Tensor& out, bool rotate) {
  return {.count = static_cast<int>(x.size(1)),
          .rotate = rotate,
          .x = x.const_data_ptr(),
          .x_token = x.stride(0),
          .x_head = x.stride(1),
          .out = out.data_ptr(),
          .out_token = out.stride(0),
          .out_head = out.stride(1)};
}

cuda::Rope rope_job(const Tensor& x, const Tensor& cos, const Tensor& sin, bool forward) {
  return {.is_bf16 = is_bf16(x),
          .num_tokens = x.size(0),
          .half = static_cast<int>(x.size(2) / 2),
          .cos = cos.const_data_ptr<float>(),
          .sin = sin.const_data_ptr<float>(),
          .direction = forward ? 1.0F : -1.0F,
          .heads = {}};
}

Tensor rope(const Tensor& x_in, const Tensor& cos_in, const Tensor& sin_in, bool forward) {
  const Launch launch(x_in);
  const Tensor x = with_contiguous_rows(x_in), cos = cos_in.contiguous(), sin = sin_in.contiguous();
  const Tensor out = at::empty(x.sizes(), x.options());
  cuda::Rope job = rope_job(x, cos, sin, forward);
  job.heads[0] = heads(x, out, true);
  launch(cuda::rope, job);
  return out;
}

std::tuple<Tensor, Tensor> rope_qkv(const Tensor& qkv_in, int64_t num_heads, const Tensor& cos_in,
                                    const Tensor& sin_in) {
  const Launch launch(qkv_in);
  const Tensor qkv = with_contiguous_rows(qkv_in), cos = cos_in.contiguous(),
               sin = sin_in.contiguous();
  const int64_t num_tokens = qkv.size(0), head_size = qkv.size(2),
                num_kv_heads = (qkv.size(1) - num_heads) / 2;
  const Tensor q = at::empty({num_tokens, num_heads, head_size}, qkv.options());
  const Tensor k = at::empty({num_tokens, num_kv_heads, head_size}, qkv.options());
  cuda::Rope job = rope_job(qkv, cos, sin, true);
  job.heads[0] = heads(qkv.narrow(1, 0, num_heads), q, true);
  job.heads[1] = heads(qkv.narrow(1, num_heads, num_kv_heads), k, true);
  launch(cuda::rope, job);
  return {q, k};
}

Tensor rope_qkv_backward(const Tensor& grad_q_in, const Tensor& grad_k_in, const Tensor& grad_v_in,
                         const Tensor& cos_in, const Tensor& sin_in) {
  const Launch launch(grad_q_in);
  const Tensor grad_q = with_contiguous_rows(grad_q_in), grad_k = with_contiguous_rows(grad_k_in),
               grad_v = with_contiguous_rows(grad_v_in), cos = cos_in.contiguous(),
               sin = sin_in.contiguous();
  const int64_t num_heads = grad_q.size(1), num_kv_heads = grad_k.size(1);
  const Tensor out =
      at::empty({grad_q.size(0), num_heads + 2 * num_kv_heads, grad_q.size(2)}, grad_q.options());
  cuda::Rope job = rope_job(grad_q, cos, sin, false);
  job.heads[0] = heads(grad_q, out.narrow(1, 0, num_heads), true);
  job.heads[1] = heads(grad_k, out.narrow(1, num_heads, num_kv_heads), true);
  job.heads[2] = heads(grad_v, out.narrow(1, num_heads + num_kv_heads, num_kv_heads), false);
  launch(cuda::rope, job);
  return out;
}

cuda::SwiGlu swiglu_job(const Tensor& gate_up, const Tensor& grad, const Tensor& out) {
  return {.is_bf16 = is_bf16(gate_up),
          .num_rows = gate_up.size(0),
          .width = gate_up.size(1) / 2,
          .gate_up = gate_up.const_data_ptr(),
          .gate_up_stride = gate_up.stride(0),
          .grad = data_or_null(grad),
          .grad_stride = grad.defined() ? grad.stride(0) : 0,
          .out = out.data_ptr()};
}

Tensor swiglu(const Tensor& gate_up_in) {
  const Launch launch(gate_up_in);
  const Tensor gate_up = with_contiguous_rows(gate_up_in);
  const Tensor out = at::empty({gate_up.size(0), gate_up.size(1) / 2}, gate_up.options());
  launch(cuda::swiglu, swiglu_job(gate_up, Tensor(), out));
  return out;
}

Tensor swiglu_backward(const Tensor& grad_in, const Tensor& gate_up_in) {
  const Launch launch(gate_up_in);
  const Tensor gate_up = with_contiguous_rows(gate_up_in), grad = with_contiguous_rows(grad_in);
  const Tensor out = at::empty({gate_up.size(0), gate_up.size(1) / 2 * 2}, gate_up.options());
  launch(cuda::swiglu_backward, swiglu_job(gate_up, grad, out));
  return out;
}

FewRowsResult few_rows_linear(const Tensor& x, const NormBefore& norm, const Tensor& weight,
                              const Tensor& bias_in, bool swiglu) {
  const Launch launch(x);
  const Tensor delta = contiguous_or_none(norm.delta_TI), bias = contiguous_or_none(bias_in),
               norm_weight = contiguous_or_none(norm.weight_I);
  const int64_t num_outputs = swiglu ? weight.size(0) / 2 : weight.size(0);
  const Tensor out = at::empty({x.size(0), num_outputs}, x.options());
  const Tensor sum = delta.defined() ? at::empty(x.sizes(), x.options()) : Tensor();
  const cuda::FewRowsLinear job = {.num_rows = static_cast<int>(x.size(0)),
                                   .width = static_cast<int>(x.size(1)),
                                   .num_outputs = static_cast<int>(num_outputs),
                                   .x = x.const_data_ptr(),
                                   .x_stride = x.stride(0),
                                   .norm_weight = data_or_null(norm_weight),
                                   .delta = data_or_null(delta),
                                   .eps = static_cast<float>(norm.eps),
                                   .weight = weight.const_data_ptr(),
                                   .bias = data_or_null(bias),
                                   .swiglu = swiglu,
                                   .sum = sum.defined() ? sum.data_ptr() : nullptr,
                                   .out = out.data_ptr()};
  launch(cuda::few_rows_linear, job);
  return {out, sum};
}

void cross_entropy(const Tensor& logits, const Tensor& targets, const Tensor& losses,
                   bool make_gradient) {
  LG_DCHECK(logits.is_contiguous() && targets.is_contiguous() && losses.is_contiguous());
  const Launch launch(logits);
  const cuda::CrossEntropy job = {.is_bf16 = is_bf16(logits),
                                  .num_rows = logits.size(0),
                                  .num_classes = logits.size(1),
                                  .logits = logits.data_ptr(),
                                  .targets = targets.const_data_ptr<int64_t>(),
                                  .losses = losses.data_ptr<double>(),
                                  .make_gradient = make_gradient};
  launch(cuda::cross_entropy, job);
}

void distillation(const Tensor& logits, const Tensor& teacher, double share, const Tensor& targets,
                  const Tensor& losses, const Tensor& divergences, bool make_gradient) {
  LG_DCHECK(logits.is_contiguous() && teacher.is_contiguous() && targets.is_contiguous() &&
            losses.is_contiguous() && divergences.is_contiguous());
  const Launch launch(logits);
  const cuda::Distillation job = {.is_bf16 = is_bf16(logits),
                                  .num_rows = logits.size(0),
                                  .num_classes = logits.size(1),
                                  .logits = logits.data_ptr(),
                                  .teacher_logits = teacher.const_data_ptr(),
                                  .targets = targets.const_data_ptr<int64_t>(),
                                  .share = static_cast<float>(share),
                                  .losses = losses.data_ptr<double>(),
                                  .divergences = divergences.data_ptr<double>(),
                                  .make_gradient = make_gradient};
  launch(cuda::distillation, job);
}

Tensor sum_losses(const Tensor& losses_in, const Tensor& targets_in, int64_t num_classes) {
  const Launch launch(losses_in);
  const Tensor losses = losses_in.contiguous(), targets = targets_in.contiguous();
  const Tensor result = at::empty({2}, losses.options());
  cuda::sum_in_order(losses.const_data_ptr<double>(), losses.numel(),
                     targets.const_data_ptr<int64_t>(), num_classes, result.data_ptr<double>(),
                     launch.stream());
  check_launch();
  return result;
}

void* data_of(const Tensor& x) {
  LG_CHECK(x.is_contiguous(), "[adamw] weights, gradients and states must be contiguous, found ",
           describe("x", x), " with strides ", x.strides(), ".");
  return x.data_ptr();
}

double sum_of_squares(const std::vector<Tensor>& tensors) {
  const Launch launch(tensors.front());
  const auto num_chunks = [](const Tensor& x) {
    return (x.numel() + cuda::kSquaresChunk - 1) / cuda::kSquaresChunk;
  };
  int64_t total = 0;
  for (const Tensor& x : tensors) total += num_chunks(x);
  const at::TensorOptions options =
      tensors.front().options().dtype(at::kDouble).requires_grad(false);
  const Tensor sums = at::empty({total}, options), result = at::empty({2}, options);
  double* next = sums.data_ptr<double>();
  for (const Tensor& x : tensors) {
    cuda::sum_squares(is_bf16(x), data_of(x), x.numel(), next, launch.stream());
    next += num_chunks(x);
  }
  cuda::sum_in_order(sums.const_data_ptr<double>(), total, nullptr, 0, result.data_ptr<double>(),
                     launch.stream());
  check_launch();
  return result.cpu().const_data_ptr<double>()[0];
}

void adamw(const Tensor& gradient, const Tensor& weight, const Tensor& m, const Tensor& v,
           const gpu::AdamWFactors& factors, uint64_t key) {
  const Launch launch(weight);
  for (const Tensor& x : {gradient, m, v}) {
    LG_CHECK(x.scalar_type() == weight.scalar_type(),
             "[adamw] gradient and states must have the dtype of the weight, found ",
             describe("weight", weight), " | ", describe("x", x), ".");
  }
  const cuda::AdamW job = {.is_bf16 = is_bf16(weight),
                           .gradient = data_of(gradient),
                           .weight = data_of(weight),
                           .m = data_of(m),
                           .v = data_of(v),
                           .count = weight.numel(),
                           .key = key,
                           .grad_scale = factors.grad_scale,
                           .new_share1 = factors.new_share1,
                           .new_share2 = factors.new_share2,
                           .step_size = factors.step_size,
                           .inverse_root_correction2 = factors.inverse_root_correction2,
                           .eps = factors.eps,
                           .keep = factors.keep};
  launch(cuda::adamw, job);
}

void embedding_backward(const Tensor& grad_in, const Tensor& tokens, const Tensor& sum) {
  const Launch launch(grad_in);
  const Tensor grad = grad_in.contiguous();
  const auto [sorted, order] = at::sort(tokens, /*stable=*/true, /*dim=*/0, /*descending=*/false);
  const int64_t num_rows = grad.size(0), width = grad.size(1);
  const Tensor pieces = at::empty({2 * cuda::num_embedding_pieces(num_rows), width}, sum.options());
  const cuda::EmbeddingBackward job = {.is_bf16 = is_bf16(grad),
                                       .num_rows = num_rows,
                                       .width = width,
                                       .grad = grad.const_data_ptr(),
                                       .sorted = sorted.const_data_ptr<int64_t>(),
                                       .order = order.const_data_ptr<int64_t>(),
                                       .pieces = pieces.data_ptr<float>(),
                                       .sum = sum.data_ptr<float>()};
  launch(cuda::embedding_backward, job);
}

constexpr gpu::Ops kOps = {.rms_norm = rms_norm,
                           .rms_norm_backward = rms_norm_backward,
                           .rope_table = rope_table,
                           .rope = rope,
                           .rope_qkv = rope_qkv,
                           .rope_qkv_backward = rope_qkv_backward,
                           .swiglu = swiglu,
                           .swiglu_backward = swiglu_backward,
                           .few_rows_linear = few_rows_linear,
                           .cross_entropy = cross_entropy,
                           .distillation = distillation,
                           .sum_losses = sum_losses,
                           .sum_of_squares = sum_of_squares,
                           .adamw = adamw,
                           .embedding_backward = embedding_backward};

}  // namespace

const gpu::Ops& cuda::ops() { return kOps; }

}  // namespace longgen
