// eval/baselines/baseline_context.h: attention of one sequence under a cache policy.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

#include "longgen/eval/baselines/cache_policy.h"
#include "longgen/eval/baselines/kept_tokens.h"
#include "longgen/model/attention_context.h"
#include "longgen/model/decoder.h"
#include "longgen/model/rope_tables.h"

namespace longgen {

/// K and V stand in plain tensors where the decoder is, and attention is a softmax in fp32 over all
/// that is kept: the quality of a reference, not the speed of the pages in kv_cache/.
///
///     BaselineContext context(decoder, policy);
///     context.begin_prompt(num_tokens, /*is_last=*/true);  // or in several chunks
///     hidden_TE = decoder.forward(prompt_T, context);
///     context.begin_step();
///     hidden_TE = decoder.forward(token_T, context);
///
/// streaming  At each token, in a prompt too, the first 4 and the last budget - 4 tokens are kept.
///            As in the paper a token is where it stands in the cache, not in the text: no query
///            is farther from the first tokens than the budget. Distances within the window are
///            those of the text, so that it suffices to turn the queries that meet the first
///            tokens by another angle.
/// h2o        A prompt attends fully. After it and after each token the last half of the budget is
///            kept, and of the others those whose attention weights, added up over all queries so
///            far and the query heads of a KV head, are largest. Positions are those of the text.
/// pyramidkv  A prompt attends fully. After it layer i keeps pyramid_tokens(): the last 8, and of
///            the others those to which these 8 attend most: weights added up over the 8 queries
///            and the query heads of a KV head, then the largest of 7 neighbours. Tokens that
///            follow the prompt are all kept, beyond the budget. Positions are those of the text.
///
/// A copy is another sequence with the same tokens. No gradients. If a pass ends early, the
/// sequence is lost. Outputs do not depend on how a prompt is divided, but for rounding.
class BaselineContext : public AttentionContext {
 public:
  /// The decoder must outlive it and its copies. Throws Error as CachePolicy::check_model() does.
  BaselineContext(const Decoder& decoder, const CachePolicy& policy);

  /// Says that the next pass reads the next tokens of the prompt, the last of them where `is_last`.
  void begin_prompt(int64_t num_tokens, bool is_last);
  /// Says that the next pass reads tokens behind the prompt, after which the policy chooses once.
  /// Throws Error where the prompt has not ended.
  void begin_step(int64_t num_tokens = 1);

  const at::Tensor& positions_T() const override { return positions_T_; }
  /// Throws Error: a policy needs heads before RoPE, which prepare_and_attend() gets.
  at::Tensor attend(const LayerAttention& layer, const at::Tensor& q_THD, const at::Tensor& k_TKD,
                    const at::Tensor& v_TKD) override;
  at::Tensor prepare_and_attend(const LayerAttention& layer, const at::Tensor& heads_TAD,
                                int64_t num_heads, const HeadPreparation& preparation) override;

  const KeptTokens& layer(int64_t index) const { return layers_[static_cast<size_t>(index)]; }

 private:
  enum class Pass { prompt, end_of_prompt, step };

  void begin(int64_t num_tokens, Pass pass);
  at::Tensor attend_rows(KeptTokens& kept, const at::Tensor& q_THD,
                         const at::Tensor& q_to_sinks_THD, double scale) const;
  at::Tensor weights(const KeptTokens& kept, const at::Tensor& q_RHD, const at::Tensor& q_to_sinks,
                     int64_t first_position, double scale) const;
  at::Tensor unseen(const at::Tensor& positions_KN, int64_t first_position, int64_t num_rows) const;
  static void observe(KeptTokens& kept, const at::Tensor& q_THD);
  void evict(int64_t layer, KeptTokens& kept, double scale) const;

  const Decoder* decoder_;
  CachePolicy policy_;
  std::vector<KeptTokens> layers_;
  at::Tensor positions_T_;  // of the pass
  int64_t num_tokens_ = 0;  // that are read after the pass
  Pass pass_ = Pass::prompt;
  std::optional<RopeTables> ropes_to_sinks_;  // of a pass that has queries beyond the budget
};

}  // namespace longgen
