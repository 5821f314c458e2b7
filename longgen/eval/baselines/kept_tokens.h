// eval/baselines/kept_tokens.h: what a layer keeps under a cache policy.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace longgen {

/// The tokens of a layer, each KV head's own, in order of position. Tensors are replaced and not
/// written to, so that a copy is another sequence that shares the memory.
struct KeptTokens {
  at::Tensor k_KND, v_KND;  ///< k after RoPE, by the token's position in the text
  at::Tensor positions_KN;  ///< int64
  at::Tensor scores_KN;     ///< fp32: attention that each has got so far (H2O)
  at::Tensor queries_THD;   ///< the last ones of a prompt that is being read (PyramidKV)

  int64_t size() const { return positions_KN.defined() ? positions_KN.size(1) : 0; }
  /// Adds tokens k and v (T, K, D) of the positions from `first` on, without attention so far.
  void append(const at::Tensor& k_TKD, const at::Tensor& v_TKD, int64_t first);

  /// Keeps the first `num_first` and the last `num_last`, where there are more.
  void keep_ends(int64_t num_first, int64_t num_last);
  /// Keeps of each head the `num_best` tokens of the highest scores (K, M), which are those of the
  /// first M tokens, and all tokens after these. Of equal scores the first count.
  void keep_best(const at::Tensor& scores_KM, int64_t num_best);

 private:
  void keep(const at::Tensor& places_KM);
};

}  // namespace longgen
