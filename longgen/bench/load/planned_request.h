// bench/load/planned_request.h: what a request of a load is, before it is sent.
#pragma once

#include <cstdint>
#include <vector>

namespace longgen {

/// Tokens of a prompt that are the same wherever the key is.
struct PromptPiece {
  uint64_t key;
  int64_t num_tokens;
};

struct PlannedRequest {
  double due_seconds = 0;  ///< after the beginning of the load
  std::vector<PromptPiece> prompt = {};
  int64_t reply_tokens = 1;

  int64_t prompt_tokens() const {
    int64_t count = 0;
    for (const PromptPiece& piece : prompt) count += piece.num_tokens;
    return count;
  }
};

}  // namespace longgen
