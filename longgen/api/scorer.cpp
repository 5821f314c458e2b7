#include <numeric>

#include "longgen/api/model_impl.h"
#include "longgen/api/translated.h"
#include "longgen/base/check.h"
#include "longgen/engine/score.h"

namespace longgen {

struct Scorer::Impl {
  Model model;
  ScorerOptions options;
  Session session;

  Impl(const Model& opened, const ScorerOptions& wanted)
      : model(opened),
        options(wanted),
        session(model.impl().loaded.decoder, options.prefill_chunk) {
    LG_CHECK(options.top >= 0, "top: expected at least 0, found ", options.top, ".");
  }

  TextScores score(const std::vector<int32_t>& tokens) {
    if (tokens.empty()) return {};
    TokenScores scores =
        score_tokens(session, tokens, {.top = options.top, .vocab_size = model.facts().vocab_size});
    return {tokens, std::move(scores.logprobs), std::move(scores.top)};
  }
};

double TextScores::sum() const { return std::accumulate(logprobs.begin(), logprobs.end(), 0.0); }

Scorer::Scorer(const Model& model, const ScorerOptions& options)
    : impl_(translated([&] { return std::make_unique<Impl>(model, options); })) {}
Scorer::~Scorer() = default;
Scorer::Scorer(Scorer&&) noexcept = default;
Scorer& Scorer::operator=(Scorer&&) noexcept = default;

TextScores Scorer::score(std::string_view text) {
  return score(impl_->model.encode(text, impl_->options.special));
}

TextScores Scorer::score(const std::vector<int32_t>& tokens) {
  return translated([&] { return impl_->score(tokens); });
}

}  // namespace longgen
