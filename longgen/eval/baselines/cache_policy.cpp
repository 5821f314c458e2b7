#include "longgen/eval/baselines/cache_policy.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/base/units.h"

namespace longgen {
namespace {

constexpr int64_t kMostTokens = int64_t{1} << 30;

int64_t least_budget(PolicyKind kind) {
  switch (kind) {
    case PolicyKind::streaming:
      return kSinkTokens + 1;
    case PolicyKind::h2o:
      return 2;
    case PolicyKind::pyramidkv:
      return kObservedQueries + 1;
  }
  LG_FAIL("internal error: a policy without a least budget. Please report this.");
}

}  // namespace

CachePolicy CachePolicy::parse(const std::string& text, const std::string& what) {
  const size_t colon = text.find(':');
  LG_CHECK(colon != std::string::npos, what, ": expected a policy and its budget in tokens, as in ",
           "streaming:1024, found \"", text, "\".");
  const CachePolicy policy = {kPolicyKinds.parse(text.substr(0, colon), what),
                              parse_count(text.substr(colon + 1), what)};
  const int64_t least = least_budget(policy.kind);
  LG_CHECK(policy.budget_tokens >= least && policy.budget_tokens <= kMostTokens, what, ": ",
           kPolicyKinds.name(policy.kind), " expects a budget of ", least, " to ",
           format_count(kMostTokens), " tokens, found ", format_count(policy.budget_tokens), ".");
  return policy;
}

std::string CachePolicy::name() const {
  return kPolicyKinds.name(kind) + ":" + std::to_string(budget_tokens);
}

void CachePolicy::check_model(const ModelConfig& config, const std::string& source) const {
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const Pattern pattern = config.pattern(layer);
    LG_CHECK(pattern.is_full(), source, ": the policy ", name(),
             " keeps a part of what full attention sees, and layer ", layer, " is not full (",
             pattern.to_string(), "). Give a model whose layers are all full.");
  }
}

void CachePolicy::check_text(const std::string& what) const {
  LG_CHECK(kind != PolicyKind::pyramidkv, what, ": ", name(),
           " chooses what to keep once, at the end of a prompt, and a text whose every token is "
           "predicted has no prompt. Give streaming:TOKENS or h2o:TOKENS here, and pyramidkv to "
           "eval needle or eval suite.");
}

int64_t CachePolicy::text_step_tokens() const {
  return std::clamp<int64_t>(budget_tokens / 16, 1, 64);
}

int64_t pyramid_tokens(int64_t budget_tokens, int64_t layer, int64_t num_layers,
                       int64_t prompt_tokens) {
  if (prompt_tokens <= budget_tokens) return prompt_tokens;
  const int64_t mean = budget_tokens - kObservedQueries;
  if (prompt_tokens < 2 * mean || num_layers == 1) return budget_tokens;
  int64_t least = mean / kPyramidSteepness;
  const int64_t most = std::min(2 * mean - least, prompt_tokens - kObservedQueries);
  least = 2 * mean - most;
  // Upper layers get what their mirror images leave, so that rounding does not move the mean.
  const int64_t range = most - least, steps = num_layers - 1;
  return kObservedQueries + (2 * layer <= steps ? most - range * layer / steps
                                                : least + range * (steps - layer) / steps);
}

}  // namespace longgen
