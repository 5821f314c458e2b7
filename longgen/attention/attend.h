// attention/attend.h: the one attention op that the decoder calls. It is registered
// as torch.ops.longgen.attend, too.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "longgen/attention/pattern.h"

namespace longgen {

struct AttendOptions {
  /// Starts of packed documents: int64 on the CPU, ascending, first 0, each below T; only with S ==
  /// T. Each document is a sequence of its own. Undefined: one document.
  at::Tensor doc_starts;
  /// Scores are multiplied by it; it is 1 / sqrt(D) if not given.
  std::optional<double> scale;
};

struct Attended {
  at::Tensor out_THD;
  /// Natural logarithm of the sum of exp(score), (H, T) fp32; -inf for a row without a visible key.
  at::Tensor lse_HT;
};

/// Attends each query to the keys its pattern allows: softmax(scale * q k^T) v over those keys.
///   q_THD         (T, H, D)  last axis contiguous
///   k_SKD, v_SKD  (S, K, D)  same dtype and device as q; H must be a multiple of K
///   out           (T, H, D)  dtype of q
/// Query row t stands at key position S - T + t: S == T trains, S > T continues. T may be 0.
/// A row with no allowed key gives zeros, never NaN. No (T, S) buffer is ever allocated: the work
/// of a sparse layer is proportional to its visible blocks. Differentiable in q, k and v (not
/// through lse). Scores, softmax, sums and LSE are kept in fp32.
///
/// What a device takes, and what it promises:
///           dtype       D          K          scale     two runs are equal to the bit
///   CPU     fp32, bf16  1 to 256   any        any       always, whatever the number of threads
///   GPU     bf16        64 or 128  up to 256  positive  except gradients by cuDNN
/// A GPU must have compute capability 9.0; it takes up to 2^30 tokens in a call and strides of less
/// than 2^15 blocks. Its tensor cores multiply probabilities, and gradients of scores, in bf16; the
/// CPU does in fp32. The call is queued on the current stream and not waited for.
/// Windows in tokens (Pattern::window) are the CPU's: a GPU refuses them.
/// is_left_to_cudnn() says which calls are cuDNN's: it adds the terms of their gradients in another
/// order in every run.
///
/// Throws Error on what does not fit. attend_reference() is the same in plain torch, slowly.
Attended attend(const at::Tensor& q_THD, const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                const Pattern& pattern, const AttendOptions& options = {});

/// Gives what attend() gave in an earlier call with equal arguments: nothing is computed, but
/// gradients flow as from attend(). Layers that are computed again in the backward pass call it.
Attended attend_again(const at::Tensor& q_THD, const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                      const Pattern& pattern, const AttendOptions& options, const Attended& known);

/// Whether a GPU leaves a call of attend() to cuDNN: a full layer of one sequence (one document,
/// S == T) of at least 128 rows; cuDNN refuses some that are shorter.
bool is_left_to_cudnn(int64_t num_queries, int64_t num_keys, const Pattern& pattern,
                      const at::Tensor& doc_starts);

/// The definition of the op in plain torch, with a (T, S) mask, in the dtype of its inputs. In fp64
/// it is the truth of the tests.
Attended attend_reference(const at::Tensor& q_THD, const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                          const Pattern& pattern, const AttendOptions& options = {});

}  // namespace longgen
