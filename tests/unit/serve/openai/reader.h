// tests/unit/serve/openai/reader.h: a reader of a small server, and what it says of bad requests.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "longgen/serve/openai/api_error.h"
#include "longgen/serve/openai/request_reader.h"

namespace longgen::openai {

inline constexpr int64_t kVocabSize = 1000;

inline const RequestReader& reader() {
  static const RequestReader reader({.vocab_size = kVocabSize});
  return reader;
}

/// Returns "CODE | MESSAGE" of the ApiError that `action` throws, and "" when it throws none. Every
/// refusal is a 400, and its message begins with the field that param names.
template <typename Action>
std::string refusal_of(const Action& action) {
  try {
    action();
  } catch (const ApiError& error) {
    const std::string message = error.what();
    EXPECT_EQ(error.status(), 400);
    EXPECT_TRUE(message.starts_with(error.param().empty() ? "request body" : error.param()))
        << error.param() << " does not begin: " << message;
    return error.code() + " | " + message;
  }
  return "";
}

/// A chat completion with these further fields: "\"n\": 2".
inline std::string chat_body(const std::string& fields) {
  const std::string messages = R"({"messages": [{"role": "user", "content": "a"}])";
  return messages + (fields.empty() ? "" : ", ") + fields + "}";
}

inline ChatCompletionRequest chat(const std::string& fields) {
  return reader().chat(chat_body(fields));
}

inline std::string chat_refusal(const std::string& fields) {
  return refusal_of([&] { chat(fields); });
}

inline CompletionRequest completion(const std::string& fields) {
  return reader().completion("{" + fields + "}");
}

inline std::string completion_refusal(const std::string& fields) {
  return refusal_of([&] { completion(fields); });
}

}  // namespace longgen::openai
