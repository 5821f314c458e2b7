// map, select, reject, selectattr and rejectattr.
#include <algorithm>

#include "longgen/chat/jinja/filters.h"
#include "longgen/chat/jinja/python.h"

namespace longgen::jinja {
namespace {

int64_t depth_of(const Value& input, const CallArguments& arguments) {
  int64_t depth = input.depth();
  for (const Value& value : arguments.positional) depth = std::max(depth, value.depth());
  for (const auto& [name, value] : arguments.named) depth = std::max(depth, value.depth());
  return depth;
}

std::optional<Value> take_named(CallArguments& arguments, std::string_view name) {
  const auto it = std::find_if(arguments.named.begin(), arguments.named.end(),
                               [name](const auto& entry) { return entry.first == name; });
  if (it == arguments.named.end()) return std::nullopt;
  Value value = std::move(it->second);
  arguments.named.erase(it);
  return value;
}

using Change = std::function<Value(Runtime&, const Value&)>;

/// What map does to an item.
Change map_change(CallArguments arguments) {
  const bool by_attribute =
      arguments.positional.empty() &&
      std::any_of(arguments.named.begin(), arguments.named.end(),
                  [](const auto& entry) { return entry.first == "attribute"; });
  if (by_attribute) {
    const Value path = *take_named(arguments, "attribute");
    const std::optional<Value> fallback = take_named(arguments, "default");
    if (!arguments.named.empty()) fail("map takes no argument ", arguments.named[0].first);
    return [path, fallback](Runtime& runtime, const Value& item) {
      const Value value = get_path(runtime, item, path);
      const bool replaces = value.is_undefined() && fallback && !fallback->is_none();
      return replaces ? *fallback : value;
    };
  }
  if (arguments.positional.empty()) fail("map requires a filter argument");
  const std::string name = require_text(arguments.positional[0], "map").bytes();
  arguments.positional.erase(arguments.positional.begin());
  return [name, arguments](Runtime& runtime, const Value& item) {
    return apply_filter(runtime, name, item, arguments);
  };
}

Value map(Runtime& runtime, const Value& input, CallArguments arguments) {
  if (!truth(input)) {
    return runtime.iterator([]() -> std::optional<Value> { return std::nullopt; }, 0);
  }
  const int64_t depth = depth_of(input, arguments);
  // Nothing happens before the first item is asked for, also no error.
  const auto next = [&runtime, input, arguments, change = Change(),
                     source = Iterator::Next()]() mutable -> std::optional<Value> {
    if (!change) {
      change = map_change(arguments);
      source = iterate(runtime, input);
    }
    const std::optional<Value> item = source();
    return item ? std::optional<Value>(change(runtime, *item)) : std::nullopt;
  };
  return runtime.iterator(next, depth);
}

/// Whether an item passes; the first argument names the attribute that is asked where there is one.
bool passes(Runtime& runtime, const Value& item, const CallArguments& arguments,
            bool by_attribute) {
  size_t used = 0;
  Value value = item;
  if (by_attribute) {
    if (arguments.positional.empty()) fail("Missing parameter for attribute name");
    value = get_path(runtime, item, arguments.positional[used++]);
  }
  if (used == arguments.positional.size()) return truth(value);
  const std::string& name = require_text(arguments.positional[used++], "select").bytes();
  CallArguments rest{{arguments.positional.begin() + static_cast<std::ptrdiff_t>(used),
                      arguments.positional.end()},
                     arguments.named};
  return apply_test(runtime, name, value, std::move(rest));
}

template <bool by_attribute, bool wanted>
Value select(Runtime& runtime, const Value& input, CallArguments arguments) {
  if (!truth(input)) {
    return runtime.iterator([]() -> std::optional<Value> { return std::nullopt; }, 0);
  }
  const int64_t depth = depth_of(input, arguments);
  const auto next = [&runtime, input, arguments,
                     source = Iterator::Next()]() mutable -> std::optional<Value> {
    if (!source) source = iterate(runtime, input);
    while (std::optional<Value> item = source()) {
      if (passes(runtime, *item, arguments, by_attribute) == wanted) return item;
    }
    return std::nullopt;
  };
  return runtime.iterator(next, depth);
}

}  // namespace

const FilterTable& selecting_filters() {
  static const FilterTable table = {
      {"map", map},
      {"select", select<false, true>},
      {"reject", select<false, false>},
      {"selectattr", select<true, true>},
      {"rejectattr", select<true, false>},
  };
  return table;
}

}  // namespace longgen::jinja
