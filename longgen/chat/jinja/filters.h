// chat/jinja/filters.h: what stands after | and after is.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "longgen/chat/jinja/runtime.h"

namespace longgen::jinja {

/// input | name(arguments). Throws Failure naming a filter that is not supported.
Value apply_filter(Runtime& runtime, const std::string& name, const Value& input,
                   CallArguments arguments);
bool is_filter(std::string_view name);

/// input is name(arguments).
bool apply_test(Runtime& runtime, const std::string& name, const Value& input,
                CallArguments arguments);
bool is_test(std::string_view name);

using Filter = Value (*)(Runtime&, const Value&, CallArguments);
using FilterTable = std::unordered_map<std::string_view, Filter>;
const FilterTable& text_filters();
const FilterTable& number_filters();
const FilterTable& sequence_filters();
const FilterTable& selecting_filters();

/// value | tojson: JSON as Python's json.dumps() writes it, all of it data.
Value to_json(Runtime& runtime, const Value& value, CallArguments arguments);

/// item.path: names and numbers with dots between them, as `attribute` of filters gives them. None
/// is the item itself.
Value get_path(Runtime& runtime, Value item, const Value& path);
/// Strings in lower case, anything else as it is: what sorting and comparing ignores.
Value without_case(Runtime& runtime, const Value& value);

}  // namespace longgen::jinja
