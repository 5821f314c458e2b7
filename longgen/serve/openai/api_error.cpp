#include "longgen/serve/openai/api_error.h"

#include <utility>

#include "longgen/base/json.h"
#include "longgen/serve/openai/shown.h"

namespace longgen::openai {
namespace {

constexpr size_t kMaxMessageBytes = 1000;

const char* type_of(int status) {
  if (status == 401) return "authentication_error";
  if (status == 429) return "rate_limit_error";
  return status >= 500 ? "server_error" : "invalid_request_error";
}

OrderedJson text_or_null(const std::string& text) {
  return text.empty() ? OrderedJson(nullptr) : OrderedJson(text);
}

}  // namespace

ApiError::ApiError(int status, const std::string& message, std::string param, std::string code)
    : Error(shortened(message, kMaxMessageBytes)),
      status_(status),
      param_(std::move(param)),
      code_(std::move(code)) {}

std::string ApiError::json() const {
  const OrderedJson error = {{"message", what()},
                             {"type", type_of(status_)},
                             {"param", text_or_null(param_)},
                             {"code", text_or_null(code_)}};
  return dump_json(OrderedJson{{"error", error}});
}

ApiError model_not_found(const std::string& model) {
  return {404, "model: this server has no model \"" + shortened(model) + "\"; see /v1/models.",
          "model", "model_not_found"};
}

}  // namespace longgen::openai
