// bench/load/length_mix.h: how long prompts and replies are.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "longgen/base/random.h"

namespace longgen {

/// A length, or any within a range, each as likely.
struct TokenRange {
  int64_t low = 1, high = 1;
};

struct RequestLengths {
  int64_t prompt_tokens, reply_tokens;
};

/// Several kinds of requests, of which each comes as often as its weight says.
class LengthMix {
 public:
  /// Reads "PROMPT:REPLY[@WEIGHT],...": "2K:128@3,64K-128K:64" are three of 2,048 and 128 tokens to
  /// one of 65,536 to 131,072 and 64. Throws Error saying which part is wrong.
  static LengthMix parse(std::string_view text);

  RequestLengths draw(RandomStream& random) const;

 private:
  struct Kind {
    TokenRange prompt, reply;
    int64_t weight;
  };
  static Kind parse_kind(std::string_view text);

  std::vector<Kind> kinds_;
  int64_t total_weight_ = 0;
};

}  // namespace longgen
