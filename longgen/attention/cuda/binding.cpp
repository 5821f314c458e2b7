// Registers torch.ops.longgen.attend and its gradient for CUDA tensors. Full layers of one sequence
// go to cuDNN; sparse layers, packed documents and continued sequences have kernels of ours.
#include <ATen/ops/_scaled_dot_product_cudnn_attention.h>
#include <ATen/ops/_scaled_dot_product_cudnn_attention_backward.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <limits>

#include "longgen/attention/attend.h"
#include "longgen/attention/cuda/backward.h"
#include "longgen/attention/cuda/forward.h"
#include "longgen/attention/cuda/head_rows.h"
#include "longgen/attention/cuda/work_cache.h"
#include "longgen/attention/operator.h"
#include "longgen/base/check.h"

namespace longgen::cuda {
namespace {

std::string shapes(const at::Tensor& q, const at::Tensor& k) {
  return detail::concat("\n  ", describe("q", q), " | k ", k.sizes());
}

void check_error(cudaError_t error, const at::Tensor& q, const at::Tensor& k) {
  LG_CHECK(error == cudaSuccess, "[attend] CUDA: ", cudaGetErrorString(error), ".", shapes(q, k));
}

/// Throws Error where the kernels cannot do what the op's contract allows.
void check_cuda(const at::Tensor& q, const at::Tensor& k, double scale) {
  int major = 0, minor = 0;
  cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, q.device().index());
  cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, q.device().index());
  LG_CHECK(major == 9, "[attend] the GPU kernels need compute capability 9.0 (H100, H200), found ",
           major, ".", minor, ". Use --device cpu.");
  LG_CHECK(q.scalar_type() == at::kBFloat16, "[attend] on a GPU q, k and v must be bfloat16.",
           shapes(q, k));
  LG_CHECK(q.size(2) == 64 || q.size(2) == 128,
           "[attend] on a GPU the head size must be 64 or 128.", shapes(q, k));
  LG_CHECK(k.size(1) <= kMaxKvHeads, "[attend] at most ", kMaxKvHeads, " KV heads on a GPU.",
           shapes(q, k));
  LG_CHECK(scale > 0, "[attend] on a GPU the scale must be positive, found ", scale, ".");
  LG_CHECK(q.size(0) < std::numeric_limits<int32_t>::max() / 2 &&
               k.size(0) < std::numeric_limits<int32_t>::max() / 2,
           "[attend] at most 2^30 tokens in a call.", shapes(q, k));
}

at::Tensor new_counters(const at::Tensor& q) {
  return at::zeros({kNumCounters}, q.options().dtype(at::kInt));
}

/// What the op and its gradient are given, checked and as the kernels take it.
struct Call {
  Call(const at::Tensor& q_in, const at::Tensor& k_in, const at::Tensor& v_in, Pattern pattern_in,
       const std::optional<at::Tensor>& doc_starts_in, std::optional<double> scale_in)
      : doc_starts(doc_starts_in.value_or(at::Tensor())), pattern(std::move(pattern_in)) {
    check_attend(q_in, k_in, v_in, doc_starts);
    scale = attend_scale(q_in, scale_in);
    check_cuda(q_in, k_in, scale);
    q = aligned(q_in), k = aligned(k_in), v = aligned(v_in);
  }

  bool is_cudnns() const { return is_left_to_cudnn(q.size(0), k.size(0), pattern, doc_starts); }
  std::shared_ptr<const DeviceWork> work(bool with_keys) const {
    return device_work(q.size(0), k.size(0), doc_starts, pattern, static_cast<int>(k.size(1)),
                       with_keys, q.device());
  }
  AttendProblem problem(const DeviceWork& work, const at::Tensor& counters) const {
    return {head_rows(q),
            head_rows(k),
            head_rows(v),
            q.size(0),
            k.size(0),
            static_cast<int>(q.size(1)),
            static_cast<int>(k.size(1)),
            static_cast<int>(q.size(2)),
            static_cast<float>(scale),
            block_pattern(pattern),
            work.sequences,
            work.tiles,
            work.num_tiles,
            counters.data_ptr<int>()};
  }

  at::Tensor q, k, v, doc_starts;
  Pattern pattern;
  double scale;
};

/// cuDNN takes (1, heads, T, D) where the op has (T, heads, D); these turn one into the
/// other and back.
at::Tensor heads_first(const at::Tensor& x) { return x.transpose(0, 1).unsqueeze(0); }
at::Tensor rows_first(const at::Tensor& x) { return x.squeeze(0).transpose(0, 1); }

std::tuple<at::Tensor, at::Tensor> attend_cudnn(const at::Tensor& q, const at::Tensor& k,
                                                const at::Tensor& v, double scale) {
  const auto result =
      at::_scaled_dot_product_cudnn_attention(heads_first(q), heads_first(k), heads_first(v), {},
                                              /*compute_log_sumexp=*/true, 0.0, /*is_causal=*/true,
                                              /*return_debug_mask=*/false, scale);
  return {rows_first(std::get<0>(result)).contiguous(),
          std::get<1>(result).view({q.size(1), q.size(0)})};
}

std::tuple<at::Tensor, at::Tensor> attend_cuda(const at::Tensor& q_in, const at::Tensor& k_in,
                                               const at::Tensor& v_in, int64_t sink_blocks,
                                               int64_t window_blocks, int64_t stride_blocks,
                                               at::IntArrayRef stride_offsets,
                                               const std::optional<at::Tensor>& doc_starts,
                                               std::optional<double> scale, int64_t window_tokens) {
  const Call call(q_in, k_in, v_in,
                  Pattern::from_op(sink_blocks, window_blocks, stride_blocks, stride_offsets.vec(),
                                   window_tokens, k_in.size(1)),
                  doc_starts, scale);
  const at::Tensor &q = call.q, &k = call.k;
  const c10::cuda::CUDAGuard guard(q.device());
  if (call.is_cudnns()) return attend_cudnn(q, k, call.v, call.scale);
  const at::Tensor out = at::empty(q.sizes(), q.options());
  const at::Tensor lse = at::empty({q.size(1), q.size(0)}, q.options().dtype(at::kFloat));
  if (q.size(0) == 0) return {out, lse};
  const auto work = call.work(/*with_keys=*/false);
  const at::Tensor counters = new_counters(q);
  check_error(attend_forward(call.problem(*work, counters), out.data_ptr(), lse.data_ptr<float>(),
                             c10::cuda::getCurrentCUDAStream()),
              q, k);
  return {out, lse};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> attend_backward_cudnn(
    const at::Tensor& grad, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& out, const at::Tensor& lse, double scale) {
  const at::Tensor no_dropout = at::zeros({}, q.options().dtype(at::kLong));
  const int64_t num_rows = q.size(0);
  const auto grads = at::_scaled_dot_product_cudnn_attention_backward(
      heads_first(grad), heads_first(q), heads_first(k), heads_first(v), heads_first(out),
      lse.view({1, q.size(1), num_rows, 1}), no_dropout, no_dropout, /*attn_bias=*/{},
      /*cum_seq_q=*/{}, /*cum_seq_k=*/{}, num_rows, num_rows, 0.0, /*is_causal=*/true, scale);
  return {rows_first(std::get<0>(grads)).contiguous(), rows_first(std::get<1>(grads)).contiguous(),
          rows_first(std::get<2>(grads)).contiguous()};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> attend_backward_cuda(
    const at::Tensor& grad_in, const at::Tensor& q_in, const at::Tensor& k_in,
    const at::Tensor& v_in, const at::Tensor& out_in, const at::Tensor& lse_in, int64_t sink_blocks,
    int64_t window_blocks, int64_t stride_blocks, at::IntArrayRef stride_offsets,
    const std::optional<at::Tensor>& doc_starts, std::optional<double> scale,
    int64_t window_tokens) {
  const Call call(q_in, k_in, v_in,
                  Pattern::from_op(sink_blocks, window_blocks, stride_blocks, stride_offsets.vec(),
                                   window_tokens, k_in.size(1)),
                  doc_starts, scale);
  check_attend_backward(q_in, grad_in, out_in, lse_in);
  const at::Tensor &q = call.q, &k = call.k, &v = call.v;
  const c10::cuda::CUDAGuard guard(q.device());
  const at::Tensor out = aligned(out_in), grad_out = aligned(grad_in), lse = lse_in.contiguous();
  if (call.is_cudnns()) {
    return attend_backward_cudnn(grad_out, q, k, v, out, lse, call.scale);
  }
  const at::Tensor grad_q = at::empty(q.sizes(), q.options()),
                   grad_k = at::empty(k.sizes(), k.options()),
                   grad_v = at::empty(v.sizes(), v.options());
  if (q.size(0) == 0) return {grad_q, grad_k.zero_(), grad_v.zero_()};
  const auto work = call.work(/*with_keys=*/true);
  const auto floats = [&](int64_t count) {
    return at::empty({count}, q.options().dtype(at::kFloat));
  };
  const at::Tensor statistics = floats(q.size(1) * 2 * work->num_tiles * kStatisticsOfBlock);
  const at::Tensor partials = floats(int64_t{work->num_slots} * 2 * 2 * kBlock * q.size(2));
  const at::Tensor counters = new_counters(q);
  const BackwardProblem problem = {call.problem(*work, counters),
                                   head_rows(grad_out),
                                   head_rows(out),
                                   lse.const_data_ptr<float>(),
                                   statistics.data_ptr<float>(),
                                   work->items,
                                   work->num_items,
                                   work->sums,
                                   work->num_sums,
                                   partials.data_ptr<float>(),
                                   grad_q.data_ptr(),
                                   grad_k.data_ptr(),
                                   grad_v.data_ptr()};
  check_error(attend_backward(problem, c10::cuda::getCurrentCUDAStream()), q, k);
  return {grad_q, grad_k, grad_v};
}

}  // namespace

TORCH_LIBRARY_IMPL(longgen, CUDA, library) {
  library.impl("attend", attend_cuda);
  library.impl("attend_backward", attend_backward_cuda);
}

}  // namespace longgen::cuda
