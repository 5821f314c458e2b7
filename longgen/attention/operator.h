// attention/operator.h: the signatures of torch.ops.longgen.attend and of its gradient, and their
// checked arguments. A GPU plug-in registers its own implementations of the two for CUDA; the
// autograd part is shared.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>
#include <tuple>

#include "longgen/attention/pattern.h"

namespace longgen {

/// (q, k, v, sink_blocks, window_blocks, stride_blocks, stride_offsets, doc_starts, scale,
/// window_tokens) -> (out, lse)
using AttendSignature = std::tuple<at::Tensor, at::Tensor>(const at::Tensor&, const at::Tensor&,
                                                           const at::Tensor&, int64_t, int64_t,
                                                           int64_t, at::IntArrayRef,
                                                           const std::optional<at::Tensor>&,
                                                           std::optional<double>, int64_t);
/// (grad_out, q, k, v, out, lse, sink_blocks, window_blocks, stride_blocks, stride_offsets,
/// doc_starts, scale, window_tokens) -> (grad_q, grad_k, grad_v)
using AttendBackwardSignature = std::tuple<at::Tensor, at::Tensor, at::Tensor>(
    const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
    const at::Tensor&, int64_t, int64_t, int64_t, at::IntArrayRef, const std::optional<at::Tensor>&,
    std::optional<double>, int64_t);

/// Describes a tensor for error messages: "x [4, 7] BFloat16 cpu".
std::string describe(const char* name, const at::Tensor& x);

/// Throws Error where q, k, v and doc_starts break the contract of attend().
void check_attend(const at::Tensor& q_THD, const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                  const at::Tensor& doc_starts);

/// Throws Error where the other arguments of attend_backward() do not fit q.
void check_attend_backward(const at::Tensor& q_THD, const at::Tensor& grad_out,
                           const at::Tensor& out, const at::Tensor& lse);

/// The factor of the scores: `scale`, or 1 / sqrt(D) if it is not given.
double attend_scale(const at::Tensor& q_THD, std::optional<double> scale);

}  // namespace longgen
