// attention/attend.h: the one attention op that the decoder calls. Registered as
// torch.ops.longgen.attend.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "longgen/attention/pattern.h"

namespace longgen {

struct AttendOptions {
  /// Starts of packed documents: int64 on the CPU, ascending, first 0, each below T; only with S ==
  /// T. Each document is a sequence of its own. Undefined: one document.
  at::Tensor doc_starts;
  /// Factor of the scores; 1 / sqrt(D) if not given.
  std::optional<double> scale;
};

struct Attended {
  at::Tensor out_THD;
  /// Natural logarithm of the sum of exp(score), (H, T) fp32; -inf for a row without a visible key.
  at::Tensor lse_HT;
};

/// Attends each query to the keys its pattern allows: softmax(scale * q k^T) v over those keys.
///   q_THD         (T, H, D)  fp32 or bf16, last axis contiguous, D from 1 to 256
///   k_SKD, v_SKD  (S, K, D)  same dtype and device as q; H must be a multiple of K
///   out           (T, H, D)  dtype of q; scores, sums and LSE are kept in fp32
/// Query row t stands at key position S - T + t: S == T trains, S > T continues. T may be 0.
/// A row with no allowed key gives zeros, never NaN. No (T, S) buffer is ever allocated: the work
/// of a sparse layer is proportional to its visible blocks. Differentiable in q, k and v (not
/// through lse). Two runs are bit-equal, whatever the number of threads. Throws Error on bad
/// shapes. attend_reference() is the same in plain torch, slowly.
Attended attend(const at::Tensor& q_THD, const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                const Pattern& pattern, const AttendOptions& options = {});

/// The same, where the result is known from an earlier call with equal arguments: nothing is
/// computed, but gradients flow as from attend(). For layers that are computed again in the
/// backward pass.
Attended attend_again(const at::Tensor& q_THD, const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                      const Pattern& pattern, const AttendOptions& options, const Attended& known);

/// The definition, in plain torch with a (T, S) mask, in the dtype of its inputs: the truth of the
/// tests in fp64.
Attended attend_reference(const at::Tensor& q_THD, const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                          const Pattern& pattern, const AttendOptions& options = {});

}  // namespace longgen
