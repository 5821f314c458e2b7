// serve/openai/api_error.h: what is wrong with a request, as clients of OpenAI's API read it.
#pragma once

#include <string>

#include "longgen/base/error.h"

namespace longgen::openai {

/// An answer that is an error: an HTTP status and OpenAI's error object. what() is the message,
/// of at most 1,000 bytes, because parts of it may be a stranger's text.
class ApiError : public Error {
 public:
  /// `param` is the field that is wrong ("messages[2].content"), empty where no single one is;
  /// `code` a word for programs ("unknown_parameter"), or empty.
  ApiError(int status, const std::string& message, std::string param = "", std::string code = "");

  int status() const { return status_; }
  const std::string& param() const { return param_; }
  const std::string& code() const { return code_; }

  /// Writes {"error": {"message", "type", "param", "code"}}. The type follows from the status:
  /// "authentication_error" for 401, "rate_limit_error" for 429, "server_error" from 500 on, else
  /// "invalid_request_error".
  std::string json() const;

 private:
  int status_;
  std::string param_, code_;
};

/// Returns the 404 for a model that the server does not have.
ApiError model_not_found(const std::string& model);

}  // namespace longgen::openai
