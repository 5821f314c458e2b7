#include "longgen/serve/served_request.h"

#include <algorithm>

namespace longgen {

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

}  // namespace longgen
