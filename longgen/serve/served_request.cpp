#include "longgen/serve/served_request.h"

#include <algorithm>

#include "longgen/base/error.h"

namespace longgen {
namespace {

// A grammar with which one token takes longer holds up everybody.
constexpr double kMostMaskSeconds = 1;

}  // namespace

DrawSettings ServedRequest::settings() const {
  return {.sampling = draw.sampling,
          .barred = draw.stop_tokens,
          .num_barred = draw.min_tokens,
          .num_logprobs = draw.num_logprobs};
}

bool ServedRequest::has_stopped() const {
  const auto& stops = draw.stop_tokens;
  return std::find(stops.begin(), stops.end(), generated.back()) != stops.end();
}

std::vector<int32_t> ServedRequest::first_tokens(std::span<const int32_t> prompt,
                                                 int64_t count) const {
  std::vector<int32_t> tokens(prompt.begin(), prompt.end());
  tokens.insert(tokens.end(), generated.begin(), generated.end());
  tokens.resize(static_cast<size_t>(count));
  return tokens;
}

bool ServedRequest::follows_grammar() const {
  return matcher && !matcher->has_stopped() && grammar_error.empty();
}

AllowedTokens ServedRequest::allowed_tokens(const std::function<double()>& now) {
  if (!follows_grammar()) return {};
  const double begin = now();
  try {
    const AllowedTokens allowed = matcher->allowed();
    if (now() - begin <= kMostMaskSeconds) return allowed;
    grammar_error = "the form that the answer must have takes too long to follow.";
  } catch (const Error& error) {
    grammar_error = error.what();
  }
  return {};
}

void ServedRequest::follow(int32_t token) {
  try {
    matcher->accept(token);
  } catch (const Error& error) {
    grammar_error = error.what();
  }
}

}  // namespace longgen
