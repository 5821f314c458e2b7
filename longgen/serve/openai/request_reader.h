// serve/openai/request_reader.h: request bodies to plain structs.
#pragma once

#include <string_view>

#include "longgen/serve/openai/fields.h"

namespace longgen::openai {

/// Reads the bodies of requests. Each field is read or refused by name, and what comes back is
/// within the ranges that the tables give; it does not know the cache's capacity or the model's
/// context. All methods throw ApiError (400) saying what was expected, what was found and where.
/// It does not change, so that several threads may use one.
class RequestReader {
 public:
  explicit RequestReader(const ReadLimits& limits);

  ChatCompletionRequest chat(std::string_view body) const;
  CompletionRequest completion(std::string_view body) const;
  TokenizeRequest tokenize(std::string_view body) const;
  DetokenizeRequest detokenize(std::string_view body) const;

 private:
  FieldTable<ChatCompletionRequest> chat_;
  FieldTable<CompletionRequest> completion_;
  FieldTable<TokenizeRequest> tokenize_;
  FieldTable<DetokenizeRequest> detokenize_;
};

}  // namespace longgen::openai
