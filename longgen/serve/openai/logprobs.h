// serve/openai/logprobs.h: log probabilities of tokens, in the forms of the two routes.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "longgen/base/json.h"

namespace longgen::openai {

struct TokenLogprob {
  int32_t id = 0;
  std::string bytes;   ///< the token's own, which may be part of a character
  double logprob = 0;  ///< minus infinity becomes -9999, because JSON has none
};

/// A token at its place. The first token of a prompt was predicted by nothing: it has none.
struct PlaceLogprobs {
  TokenLogprob token = {};
  bool predicted = true;
  int64_t rank = 1;                    ///< 1: the most probable one
  std::vector<TokenLogprob> top = {};  ///< the best ones, the first the most probable
};

/// Makes "logprobs" of a choice of a chat completion: {"content": [...], "refusal": null}.
OrderedJson chat_logprobs(std::span<const PlaceLogprobs> places);

/// Makes "prompt_logprobs": for each token null, or an object of ids with logprob, rank and text.
OrderedJson prompt_logprobs(std::span<const PlaceLogprobs> places);

/// Makes "logprobs" of a choice of a completion, part by part: tokens, token_logprobs, top_logprobs
/// and text_offset. An offset counts the characters of the choice's text before the one that the
/// token begins in, through all parts.
class CompletionLogprobs {
 public:
  OrderedJson next(std::span<const PlaceLogprobs> places);

 private:
  int64_t num_characters_ = 0;  // that have begun
};

}  // namespace longgen::openai
