#include "longgen/serve/openai/input.h"

#include "longgen/serve/openai/api_error.h"
#include "longgen/serve/openai/shown.h"

namespace longgen::openai {

std::string Input::path() const {
  if (parent_ == nullptr) return "";
  if (name_.empty() && parent_->json_.is_array()) {
    return parent_->path() + "[" + std::to_string(index_) + "]";
  }
  return parent_->path_of(name_);
}

std::string Input::path_of(std::string_view field) const {
  const std::string above = path();
  return above + (above.empty() ? "" : ".") + (field.empty() ? "\"\"" : shortened(field));
}

void Input::refuse(const std::string& expected) const {
  refuse_at(path(), "expected " + expected + ", found " + shown(json_) + ".");
}

void refuse_at(const std::string& param, const std::string& message, const std::string& code) {
  throw ApiError(400, (param.empty() ? "request body" : param) + ": " + message, param, code);
}

}  // namespace longgen::openai
