// serve/openai/input.h: a value of a request, which knows where it stands.
#pragma once

#include <string>
#include <string_view>

#include "longgen/base/json.h"

namespace longgen::openai {

/// A value inside a request body. The value that it was taken from must outlive it: its path is
/// put together only when something is wrong.
class Input {
 public:
  /// The whole body.
  explicit Input(const OrderedJson& json) : Input(json, nullptr, "", 0) {}

  const OrderedJson& json() const { return json_; }
  /// Returns "messages[2].content[0]"; empty for the body.
  std::string path() const;
  /// Returns the path of a field of this object.
  std::string path_of(std::string_view field) const;

  Input item(size_t index) const { return {json_[index], this, "", index}; }
  /// `name` must outlive the result.
  Input field(std::string_view name, const OrderedJson& value) const {
    return {value, this, name, 0};
  }

  /// Throws the ApiError "PATH: expected EXPECTED, found WHAT STANDS THERE."
  [[noreturn]] void refuse(const std::string& expected) const;

 private:
  Input(const OrderedJson& json, const Input* parent, std::string_view name, size_t index)
      : json_(json), parent_(parent), name_(name), index_(index) {}

  const OrderedJson& json_;
  const Input* parent_;
  std::string_view name_;
  size_t index_;
};

/// Throws the ApiError (400) "PARAM: MESSAGE", for what is wrong with more than one value.
[[noreturn]] void refuse_at(const std::string& param, const std::string& message,
                            const std::string& code = "invalid_value");

}  // namespace longgen::openai
