#include "longgen/engine/token_logprobs.h"

#include <algorithm>

#include "longgen/base/check.h"

namespace longgen {
namespace {

struct IsMoreProbable {
  std::span<const float> logprobs_V;

  bool operator()(int32_t a, int32_t b) const {
    const float of_a = logprobs_V[static_cast<size_t>(a)];
    const float of_b = logprobs_V[static_cast<size_t>(b)];
    return of_a > of_b || (of_a == of_b && a < b);
  }
};

}  // namespace

std::vector<TokenLogprob> best_tokens(std::span<const float> logprobs_V, int64_t count) {
  const IsMoreProbable is_more_probable{logprobs_V};
  const auto size = static_cast<size_t>(std::clamp<int64_t>(count, 0, std::ssize(logprobs_V)));
  // A heap of the best so far, the worst of them on top: most tokens are compared with it only.
  std::vector<int32_t> best;
  best.reserve(size + 1);
  for (int32_t id = 0; id < std::ssize(logprobs_V) && size > 0; ++id) {
    if (best.size() == size) {
      if (!is_more_probable(id, best.front())) continue;
      std::pop_heap(best.begin(), best.end(), is_more_probable);
      best.pop_back();
    }
    best.push_back(id);
    std::push_heap(best.begin(), best.end(), is_more_probable);
  }
  std::sort_heap(best.begin(), best.end(), is_more_probable);
  std::vector<TokenLogprob> result;
  result.reserve(best.size());
  for (const int32_t id : best) result.push_back({id, logprobs_V[static_cast<size_t>(id)]});
  return result;
}

TokenLogprobs describe_token(std::span<const float> logprobs_V, int32_t token, int64_t num_best) {
  LG_DCHECK(token >= 0 && token < std::ssize(logprobs_V));
  const IsMoreProbable is_more_probable{logprobs_V};
  int64_t rank = 1;
  for (int32_t id = 0; id < std::ssize(logprobs_V); ++id) {
    rank += is_more_probable(id, token) ? 1 : 0;
  }
  return {logprobs_V[static_cast<size_t>(token)], rank, best_tokens(logprobs_V, num_best)};
}

}  // namespace longgen
