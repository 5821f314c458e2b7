// chat/jinja/operators.h: arithmetic, attributes, items and slices.
#pragma once

#include <optional>
#include <string>

#include "longgen/chat/jinja/runtime.h"

namespace longgen::jinja {

/// a + b, and so on for - * / // % **.
Value binary(Runtime& runtime, const std::string& symbol, const Value& a, const Value& b);
/// -a or +a.
Value sign(const std::string& symbol, const Value& a);

/// object.name: an attribute of the type, then an item of that name, then undefined.
Value get_attribute(Runtime& runtime, const Value& object, const std::string& name);
/// object[key]: an item, then an attribute of that name, then undefined.
Value get_item(Runtime& runtime, const Value& object, const Value& key);
/// object[begin:end:step]; None stands for what is left out.
Value get_slice(Runtime& runtime, const Value& object, const Value& begin, const Value& end,
                const Value& step);

/// The attributes that Python's types have (methods.cpp, text_methods.cpp): nullopt when there is
/// none of that name. Throws Failure on one that is not supported. What would change the object, or
/// look behind it, is undefined, as in Jinja's sandbox.
std::optional<Value> find_method(Runtime& runtime, const Value& object, const std::string& name);
std::optional<Value> find_text_method(Runtime& runtime, const Value& object,
                                      const std::string& name);

}  // namespace longgen::jinja
