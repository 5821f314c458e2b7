// eval/baselines/cache_policy.h: training-free ways to keep a part of a full model's KV cache, with
// which hybrids are compared.
#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "longgen/base/choice.h"
#include "longgen/model/config.h"

namespace longgen {

enum class PolicyKind {
  streaming,  ///< StreamingLLM (arXiv 2309.17453): the first tokens and the last ones
  h2o,        ///< H2O (arXiv 2306.14048): what got most attention, and the last ones
  pyramidkv,  ///< PyramidKV (arXiv 2406.02069): what the prompt's last queries look at, less of it
              ///< in upper layers
};
inline constexpr Choice<PolicyKind, 3> kPolicyKinds = {{{{"streaming", PolicyKind::streaming},
                                                         {"h2o", PolicyKind::h2o},
                                                         {"pyramidkv", PolicyKind::pyramidkv}}}};

/// The parameters of the papers' own code: StreamingLLM's start_size; PyramidKV's window_size,
/// kernel_size (of a maximum) and beta.
inline constexpr int64_t kSinkTokens = 4;
inline constexpr int64_t kObservedQueries = 8, kPooledTokens = 7, kPyramidSteepness = 20;

/// A policy and its budget: tokens that a layer keeps of what was read. A token that is read
/// attends to them and to itself.
struct CachePolicy {
  PolicyKind kind = PolicyKind::streaming;
  int64_t budget_tokens = 0;

  /// Reads "streaming:1024" or "h2o:4K". Throws Error naming `what` on anything else, and on a
  /// budget that is too small for the policy.
  static CachePolicy parse(const std::string& text, const std::string& what);
  /// Returns "streaming:1024".
  std::string name() const;
  /// Throws Error unless every layer of the model is full. `source` names the model.
  void check_model(const ModelConfig& config, const std::string& source) const;
  /// Throws Error naming `what` for a policy that chooses at the end of a prompt only: a text that
  /// is read from its beginning, each token predicted, has none.
  void check_text(const std::string& what) const;
  /// How many tokens of such a text H2O reads before it chooses again: a sixteenth of the budget,
  /// at most 64. A token sees those of them that stand before it beside the budget, a thirty-second
  /// of it on average.
  int64_t text_step_tokens() const;
};

/// The tokens of a prompt that PyramidKV keeps in a layer, the observed ones among them: from the
/// bottom up a falling arithmetic sequence whose mean is the budget. As in its code, all layers
/// have the same for prompts shorter than twice the budget, and none more than the prompt.
int64_t pyramid_tokens(int64_t budget_tokens, int64_t layer, int64_t num_layers,
                       int64_t prompt_tokens);

}  // namespace longgen
