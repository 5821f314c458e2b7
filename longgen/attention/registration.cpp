// Registers torch.ops.longgen.attend and its gradient: schema, checks, the implementation on the
// CPU, autograd, and the shapes of the results, for which tracing (torch.compile) asks.
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <cmath>

#include "longgen/attention/attend.h"
#include "longgen/attention/cpu/backward.h"
#include "longgen/attention/cpu/forward.h"
#include "longgen/attention/operator.h"
#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int64_t kMaxHeadSize = 256;

bool rows_contiguous(const at::Tensor& x) { return x.stride(2) == 1 || x.size(2) <= 1; }

/// The kernels read rows with any stride, but a row's last axis must be contiguous.
at::Tensor with_contiguous_rows(const at::Tensor& x) {
  return rows_contiguous(x) ? x : x.contiguous();
}

}  // namespace

std::string describe(const char* name, const at::Tensor& x) {
  if (!x.defined()) return detail::concat(name, " undefined");
  return detail::concat(name, " ", x.sym_sizes(), " ", x.scalar_type(), " ", x.device());
}

namespace {

/// Sizes may be symbols of a trace: then each comparison becomes one of its guards.
void check_shapes(const at::Tensor& q_THD, const at::Tensor& k_SKD, const at::Tensor& v_SKD) {
  const auto inputs = [&] {
    return "\n  " + describe("q", q_THD) + " | " + describe("k", k_SKD) + " | " +
           describe("v", v_SKD);
  };
  LG_CHECK(q_THD.dim() == 3 && k_SKD.dim() == 3 && v_SKD.dim() == 3,
           "[attend] q, k and v must be (tokens, heads, head size).", inputs());
  LG_CHECK(k_SKD.sym_sizes() == v_SKD.sym_sizes(), "[attend] k and v must have the same shape.",
           inputs());
  LG_CHECK(q_THD.scalar_type() == at::kFloat || q_THD.scalar_type() == at::kBFloat16,
           "[attend] dtype must be float32 or bfloat16.", inputs());
  LG_CHECK(k_SKD.scalar_type() == q_THD.scalar_type() &&
               v_SKD.scalar_type() == q_THD.scalar_type() && k_SKD.device() == q_THD.device() &&
               v_SKD.device() == q_THD.device(),
           "[attend] q, k and v must have one dtype and one device.", inputs());
  const auto q_size = [&](int64_t axis) { return q_THD.sym_size(axis); };
  const auto k_size = [&](int64_t axis) { return k_SKD.sym_size(axis); };
  LG_CHECK(q_size(2) == k_size(2) && q_size(2) >= 1 && q_size(2) <= kMaxHeadSize,
           "[attend] head sizes must be equal and between 1 and ", kMaxHeadSize, ".", inputs());
  LG_CHECK(k_size(1) > 0 && q_size(1) > 0 && q_size(1) % k_size(1) == 0, "[attend] num_heads ",
           q_size(1), " is not a multiple of num_kv_heads ", k_size(1), ".", inputs(),
           "\n  Check num_attention_heads and num_key_value_heads in config.json.");
  LG_CHECK(k_size(0) >= q_size(0), "[attend] there must be at least as many keys as queries.",
           inputs());
}

void check_doc_starts(const at::Tensor& doc_starts, int64_t num_queries, int64_t num_keys) {
  LG_CHECK(doc_starts.dim() == 1 && doc_starts.scalar_type() == at::kLong &&
               doc_starts.device().is_cpu() && doc_starts.is_contiguous() && doc_starts.numel() > 0,
           "[attend] doc_starts must be a contiguous, non-empty int64 vector on the CPU, found ",
           describe("doc_starts", doc_starts), ".");
  LG_CHECK(num_keys == num_queries, "[attend] doc_starts need as many keys as queries, found ",
           num_keys, " keys and ", num_queries, " queries.");
  const int64_t* starts = doc_starts.const_data_ptr<int64_t>();
  for (int64_t d = 0; d < doc_starts.numel(); ++d) {
    const bool ordered = d == 0 ? starts[0] == 0 : starts[d] > starts[d - 1];
    LG_CHECK(ordered && (starts[d] < num_queries || d == 0),
             "[attend] doc_starts must ascend from 0 and stay below T ", num_queries, ", found ",
             starts[d], " at index ", d, ".");
  }
}

}  // namespace

void check_attend(const at::Tensor& q_THD, const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                  const at::Tensor& doc_starts) {
  check_shapes(q_THD, k_SKD, v_SKD);
  if (doc_starts.defined()) check_doc_starts(doc_starts, q_THD.size(0), k_SKD.size(0));
}

void check_attend_backward(const at::Tensor& q, const at::Tensor& grad_out, const at::Tensor& out,
                           const at::Tensor& lse) {
  for (const at::Tensor* x : {&grad_out, &out}) {
    LG_CHECK(x->sym_sizes() == q.sym_sizes() && x->scalar_type() == q.scalar_type() &&
                 x->device() == q.device(),
             "[attend_backward] grad_out and out must be like q.\n  ", describe("q", q), " | ",
             describe("grad_out", grad_out), " | ", describe("out", out));
  }
  LG_CHECK(lse.dim() == 2 && lse.sym_size(0) == q.sym_size(1) && lse.sym_size(1) == q.sym_size(0) &&
               lse.scalar_type() == at::kFloat && lse.device() == q.device(),
           "[attend_backward] lse must be (heads, tokens) in float32.\n  ", describe("q", q), " | ",
           describe("lse", lse));
}

double attend_scale(const at::Tensor& q_THD, std::optional<double> scale) {
  return scale.value_or(1.0 / std::sqrt(static_cast<double>(q_THD.size(2))));
}

namespace {

std::tuple<at::Tensor, at::Tensor> attend_cpu(const at::Tensor& q_in, const at::Tensor& k_in,
                                              const at::Tensor& v_in, int64_t sink_blocks,
                                              int64_t window_blocks, int64_t stride_blocks,
                                              at::IntArrayRef stride_offsets,
                                              const std::optional<at::Tensor>& doc_starts_in,
                                              std::optional<double> scale, int64_t window_tokens) {
  const at::Tensor doc_starts = doc_starts_in.value_or(at::Tensor());
  check_attend(q_in, k_in, v_in, doc_starts);
  const at::Tensor q = with_contiguous_rows(q_in), k = with_contiguous_rows(k_in),
                   v = with_contiguous_rows(v_in);
  const Pattern pattern = Pattern::from_op(sink_blocks, window_blocks, stride_blocks,
                                           stride_offsets.vec(), window_tokens, k.size(1));
  const auto sequences = cpu::make_sequences(q.size(0), k.size(0), doc_starts);
  const at::Tensor out = at::empty_like(q, at::MemoryFormat::Contiguous);
  const at::Tensor lse = at::empty({q.size(1), q.size(0)}, q.options().dtype(at::kFloat));
  const cpu::DenseKeyBlocks keys(k, v, sequences, pattern, cpu::DenseKeyBlocks::For::kForward);
  cpu::attend_forward(q, sequences, pattern, k.size(1), attend_scale(q, scale), keys, out, lse);
  return {out, lse};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> attend_backward_cpu(
    const at::Tensor& grad_in, const at::Tensor& q_in, const at::Tensor& k_in,
    const at::Tensor& v_in, const at::Tensor& out_in, const at::Tensor& lse_in, int64_t sink_blocks,
    int64_t window_blocks, int64_t stride_blocks, at::IntArrayRef stride_offsets,
    const std::optional<at::Tensor>& doc_starts_in, std::optional<double> scale,
    int64_t window_tokens) {
  const at::Tensor doc_starts = doc_starts_in.value_or(at::Tensor());
  check_attend(q_in, k_in, v_in, doc_starts);
  check_attend_backward(q_in, grad_in, out_in, lse_in);
  const at::Tensor q = with_contiguous_rows(q_in), k = with_contiguous_rows(k_in),
                   v = with_contiguous_rows(v_in);
  const at::Tensor grad = with_contiguous_rows(grad_in), out = with_contiguous_rows(out_in),
                   lse = lse_in.contiguous();
  const Pattern pattern = Pattern::from_op(sink_blocks, window_blocks, stride_blocks,
                                           stride_offsets.vec(), window_tokens, k.size(1));
  const auto sequences = cpu::make_sequences(q.size(0), k.size(0), doc_starts);
  const cpu::AttentionGradients grads =
      cpu::attend_backward(grad, q, k, v, out, lse, sequences, pattern, attend_scale(q, scale));
  return {grads.q_THD, grads.k_SKD, grads.v_SKD};
}

// Meta tensors have a shape and no values: doc_starts and the pattern are left to the real call.

std::tuple<at::Tensor, at::Tensor> attend_meta(const at::Tensor& q, const at::Tensor& k,
                                               const at::Tensor& v, int64_t, int64_t, int64_t,
                                               at::IntArrayRef, const std::optional<at::Tensor>&,
                                               std::optional<double>, int64_t) {
  check_shapes(q, k, v);
  return {at::empty_symint(q.sym_sizes(), q.options()),
          at::empty_symint({q.sym_size(1), q.sym_size(0)}, q.options().dtype(at::kFloat))};
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> attend_backward_meta(
    const at::Tensor& grad_out, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
    const at::Tensor& out, const at::Tensor& lse, int64_t, int64_t, int64_t, at::IntArrayRef,
    const std::optional<at::Tensor>&, std::optional<double>, int64_t) {
  check_shapes(q, k, v);
  check_attend_backward(q, grad_out, out, lse);
  return {at::empty_symint(q.sym_sizes(), q.options()),
          at::empty_symint(k.sym_sizes(), k.options()),
          at::empty_symint(v.sym_sizes(), v.options())};
}

template <typename Signature>
auto find_op(const char* name) {
  return c10::Dispatcher::singleton().findSchemaOrThrow(name, "").typed<Signature>();
}

class AttendFunction : public torch::autograd::Function<AttendFunction> {
 public:
  static torch::autograd::variable_list forward(
      torch::autograd::AutogradContext* context, const at::Tensor& q, const at::Tensor& k,
      const at::Tensor& v, int64_t sink_blocks, int64_t window_blocks, int64_t stride_blocks,
      std::vector<int64_t> stride_offsets, const std::optional<at::Tensor>& doc_starts,
      std::optional<double> scale, int64_t window_tokens, const Attended* known) {
    at::AutoDispatchBelowADInplaceOrView below;
    static const auto op = find_op<AttendSignature>("longgen::attend");
    const auto [out, lse] = known ? std::tuple(known->out_THD.detach(), known->lse_HT.detach())
                                  : op.call(q, k, v, sink_blocks, window_blocks, stride_blocks,
                                            stride_offsets, doc_starts, scale, window_tokens);
    context->save_for_backward({q, k, v, out, lse, doc_starts.value_or(at::Tensor())});
    context->saved_data["numbers"] =
        std::vector<int64_t>{sink_blocks, window_blocks, stride_blocks, window_tokens};
    context->saved_data["stride_offsets"] = std::move(stride_offsets);
    context->saved_data["scale"] = scale;
    context->mark_non_differentiable({lse});
    return {out, lse};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& grads) {
    static const auto op = find_op<AttendBackwardSignature>("longgen::attend_backward");
    const auto saved = context->get_saved_variables();
    const auto numbers = context->saved_data["numbers"].toIntVector();
    const std::optional<at::Tensor> doc_starts =
        saved[5].defined() ? std::optional(saved[5]) : std::nullopt;
    const auto [grad_q, grad_k, grad_v] =
        op.call(grads[0], saved[0], saved[1], saved[2], saved[3], saved[4], numbers[0], numbers[1],
                numbers[2], context->saved_data["stride_offsets"].toIntVector(), doc_starts,
                context->saved_data["scale"].toOptional<double>(), numbers[3]);
    torch::autograd::variable_list all(11);
    all[0] = grad_q, all[1] = grad_k, all[2] = grad_v;
    return all;
  }
};

std::tuple<at::Tensor, at::Tensor> attend_autograd(const at::Tensor& q, const at::Tensor& k,
                                                   const at::Tensor& v, int64_t sink_blocks,
                                                   int64_t window_blocks, int64_t stride_blocks,
                                                   at::IntArrayRef stride_offsets,
                                                   const std::optional<at::Tensor>& doc_starts,
                                                   std::optional<double> scale,
                                                   int64_t window_tokens) {
  const auto results = AttendFunction::apply(q, k, v, sink_blocks, window_blocks, stride_blocks,
                                             stride_offsets.vec(), doc_starts, scale, window_tokens,
                                             static_cast<const Attended*>(nullptr));
  return {results[0], results[1]};
}

}  // namespace

Attended attend_again(const at::Tensor& q_THD, const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                      const Pattern& pattern, const AttendOptions& options, const Attended& known) {
  LG_CHECK(known.out_THD.sizes() == q_THD.sizes(), "[attend_again] the known result is ",
           known.out_THD.sizes(), ", expected the shape of q, ", q_THD.sizes(), ".");
  check_attend(q_THD, k_SKD, v_SKD, options.doc_starts);
  const std::optional<at::Tensor> doc_starts =
      options.doc_starts.defined() ? std::optional(options.doc_starts) : std::nullopt;
  const auto results = AttendFunction::apply(
      q_THD, k_SKD, v_SKD, pattern.sink_blocks(), pattern.window_blocks(), pattern.stride_blocks(),
      pattern.stride_offsets(), doc_starts, options.scale, pattern.window_tokens(), &known);
  return {results[0], results[1]};
}

TORCH_LIBRARY(longgen, library) {
  library.def(
      "attend(Tensor q, Tensor k, Tensor v, "
      "int sink_blocks, int window_blocks, int stride_blocks, int[] stride_offsets, "
      "Tensor? doc_starts=None, float? scale=None, int window_tokens=0) -> (Tensor out, Tensor lse)");
  library.def(
      "attend_backward(Tensor grad_out, Tensor q, Tensor k, Tensor v, Tensor out, Tensor lse, "
      "int sink_blocks, int window_blocks, int stride_blocks, int[] stride_offsets, "
      "Tensor? doc_starts=None, float? scale=None, int window_tokens=0) "
      "-> (Tensor grad_q, Tensor grad_k, Tensor grad_v)");
}

TORCH_LIBRARY_IMPL(longgen, CPU, library) {
  library.impl("attend", attend_cpu);
  library.impl("attend_backward", attend_backward_cpu);
}

TORCH_LIBRARY_IMPL(longgen, Meta, library) {
  library.impl("attend", attend_meta);
  library.impl("attend_backward", attend_backward_meta);
}

TORCH_LIBRARY_IMPL(longgen, Autograd, library) { library.impl("attend", attend_autograd); }

}  // namespace longgen
