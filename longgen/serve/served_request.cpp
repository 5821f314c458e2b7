#include "longgen/serve/served_request.h"

#include <algorithm>

namespace longgen {

void ServedRequest::draw_token(std::span<const int32_t> prompt, std::span<const float> logits_V) {
  std::span<const int32_t> barred;
  if (std::ssize(generated) < draw.min_tokens) barred = draw.stop_tokens;
  generated.push_back(sampler.next(logits_V, {.prompt = prompt, .generated = generated}, barred));
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

}  // namespace longgen
