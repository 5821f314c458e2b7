// The methods of dict, list, tuple and numbers.
#include <unordered_set>

#include "longgen/chat/jinja/bound_arguments.h"
#include "longgen/chat/jinja/operators.h"

namespace longgen::jinja {
namespace {

const std::unordered_set<std::string_view> kChangesDict = {"clear", "pop", "popitem", "setdefault",
                                                           "update"};
const std::unordered_set<std::string_view> kChangesList = {"append", "clear",  "extend",  "insert",
                                                           "pop",    "remove", "reverse", "sort"};
const std::unordered_set<std::string_view> kOfNumbers = {
    "as_integer_ratio", "bit_count", "bit_length", "conjugate", "denominator",
    "from_bytes",       "fromhex",   "hex",        "imag",      "is_integer",
    "numerator",        "real",      "to_bytes"};

Value unsafe(const Value& object, const std::string& name) {
  return Value::undefined(detail::concat("access to attribute '", name, "' of '", type_name(object),
                                         "' object is unsafe"));
}

Value view(Runtime& runtime, const Dict& dict, SequenceKind kind) {
  Values items;
  runtime.budget.take(dict.items().size() * sizeof(Value));
  for (const Dict::Item& item : dict.items()) {
    if (kind == SequenceKind::dict_keys) items.push_back(item.key);
    if (kind == SequenceKind::dict_values) items.push_back(item.value);
    if (kind == SequenceKind::dict_items) {
      items.push_back(runtime.sequence({item.key, item.value}, SequenceKind::tuple));
    }
  }
  return runtime.sequence(std::move(items), kind);
}

std::optional<Value> find_dict_method(Runtime& runtime, const Value& object,
                                      const std::string& name) {
  if (kChangesDict.contains(name)) return unsafe(object, name);
  if (name == "fromkeys") fail("the method fromkeys() of a dict is not supported");
  if (name == "get") {
    return runtime.method(name, object, [object](Runtime& r, CallArguments arguments) {
      const BoundArguments bound("get()", std::move(arguments), {"key", "default"}, 1);
      const Value* const found = object.dict().find(r.budget, bound[0]);
      return found != nullptr ? *found : bound.has(1) ? bound[1] : Value();
    });
  }
  if (name == "copy") {
    return runtime.method(name, object, [object](Runtime&, CallArguments arguments) {
      const BoundArguments bound("copy()", std::move(arguments), {});
      return object;
    });
  }
  const bool keys = name == "keys", values = name == "values";
  if (!keys && !values && name != "items") return std::nullopt;
  const SequenceKind kind = keys     ? SequenceKind::dict_keys
                            : values ? SequenceKind::dict_values
                                     : SequenceKind::dict_items;
  return runtime.method(name, object, [object, kind, name](Runtime& r, CallArguments arguments) {
    const BoundArguments bound(name + "()", std::move(arguments), {});
    return view(r, object.dict(), kind);
  });
}

std::optional<Value> find_list_method(Runtime& runtime, const Value& object,
                                      const std::string& name) {
  const bool list = object.sequence().kind == SequenceKind::list;
  if (list && kChangesList.contains(name)) return unsafe(object, name);
  if (list && name == "copy") {
    return runtime.method(name, object, [object](Runtime&, CallArguments arguments) {
      const BoundArguments bound("copy()", std::move(arguments), {});
      return object;
    });
  }
  if (name != "index" && name != "count") return std::nullopt;
  const bool counts = name == "count";
  return runtime.method(name, object, [object, counts](Runtime& r, CallArguments arguments) {
    const BoundArguments bound(counts ? "count()" : "index()", std::move(arguments), {"value"}, 1);
    int64_t index = 0, found = 0;
    for (const Value& item : object.sequence().items) {
      const bool same = item.same_as(bound[0]) || equal(r.budget, item, bound[0]);
      if (same && !counts) return Value(index);
      found += same ? 1 : 0;
      ++index;
    }
    if (!counts) fail(repr(r, bound[0]).bytes(), " is not in list");
    return Value(found);
  });
}

}  // namespace

std::optional<Value> find_method(Runtime& runtime, const Value& object, const std::string& name) {
  if (object.is_dict()) return find_dict_method(runtime, object, name);
  if (object.is_number() && kOfNumbers.contains(name)) {
    fail("the attribute ", name, " of a number is not supported");
  }
  if (!object.is_sequence()) return std::nullopt;
  switch (object.sequence().kind) {
    case SequenceKind::list:
    case SequenceKind::tuple:
      return find_list_method(runtime, object, name);
    case SequenceKind::range:
      if (name == "start" || name == "stop" || name == "step" || name == "index" ||
          name == "count") {
        fail("the attribute ", name, " of a range is not supported");
      }
      return std::nullopt;
    default:
      if (name == "isdisjoint" || name == "mapping") {
        fail("the attribute ", name, " of ", type_name(object), " is not supported");
      }
      return std::nullopt;
  }
}

}  // namespace longgen::jinja
