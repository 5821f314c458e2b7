// chat/jinja/bound_arguments.h: the arguments of a call by the names of the parameters.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "longgen/chat/jinja/python.h"

namespace longgen::jinja {

class BoundArguments {
 public:
  /// `function` names it in errors. The first `num_required` of the parameters must be given.
  /// Throws Failure on missing, unknown and surplus arguments.
  BoundArguments(std::string function, CallArguments arguments,
                 std::initializer_list<const char*> parameters, size_t num_required = 0)
      : function_(std::move(function)), values_(parameters.size()) {
    if (arguments.positional.size() > parameters.size()) {
      fail(function_, " takes at most ", parameters.size(), " arguments, found ",
           arguments.positional.size());
    }
    for (size_t i = 0; i < arguments.positional.size(); ++i) {
      values_[i] = std::move(arguments.positional[i]);
    }
    for (auto& [name, value] : arguments.named) set(parameters, name, std::move(value));
    for (size_t i = 0; i < num_required; ++i) {
      if (!values_[i]) fail(function_, " needs the argument ", parameters.begin()[i]);
    }
  }

  bool has(size_t index) const { return values_[index].has_value(); }
  /// Given, and not None.
  bool has_value(size_t index) const { return has(index) && !values_[index]->is_none(); }
  const Value& operator[](size_t index) const { return *values_[index]; }
  int64_t integer(size_t index, int64_t fallback) const {
    return has(index) ? to_int(*values_[index], function_.c_str()) : fallback;
  }
  bool flag(size_t index, bool fallback) const {
    return has(index) ? truth(*values_[index]) : fallback;
  }
  const Text& text(size_t index) const { return require_text(*values_[index], function_.c_str()); }
  const std::string& function() const { return function_; }

 private:
  void set(std::initializer_list<const char*> parameters, const std::string& name, Value value) {
    for (size_t i = 0; i < parameters.size(); ++i) {
      if (name != parameters.begin()[i]) continue;
      if (values_[i]) fail(function_, ": the argument ", name, " is given twice");
      values_[i] = std::move(value);
      return;
    }
    fail(function_, " takes no argument ", name);
  }

  std::string function_;
  std::vector<std::optional<Value>> values_;
};

}  // namespace longgen::jinja
