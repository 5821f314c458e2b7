// Tests: what stands after `is`.
#include <cmath>

#include "longgen/chat/jinja/bound_arguments.h"
#include "longgen/chat/jinja/filters.h"
#include "longgen/chat/jinja/operators.h"
#include "longgen/chat/jinja/text_tools.h"

namespace longgen::jinja {
namespace {

using Plain = bool (*)(Runtime&, const Value&);
using Comparison = bool (*)(Runtime&, const Value&, const Value&);

int64_t modulo(Runtime& runtime, const Value& value, int64_t by) {
  const Value rest = binary(runtime, "%", value, Value(by));
  if (rest.is<double>()) {
    const double number = rest.get<double>();
    return number == 0 ? 0 : number == 1 ? 1 : -1;
  }
  return to_int(rest, "%");
}

/// Whether a value may be looked up as a name; throws Failure where Python could not look it up.
bool is_name(Runtime& runtime, const Value& value) {
  const bool function = value.is<std::shared_ptr<const Callable>>();
  if (!value.is_text() && !function) canonical_key(runtime.budget, value);
  return value.is_text();
}

const std::unordered_map<std::string_view, Plain> kPlain = {
    {"defined", [](Runtime&, const Value& v) { return !v.is_undefined(); }},
    {"undefined", [](Runtime&, const Value& v) { return v.is_undefined(); }},
    {"none", [](Runtime&, const Value& v) { return v.is_none(); }},
    {"boolean", [](Runtime&, const Value& v) { return v.is<bool>(); }},
    {"true", [](Runtime&, const Value& v) { return v.is<bool>() && v.get<bool>(); }},
    {"false", [](Runtime&, const Value& v) { return v.is<bool>() && !v.get<bool>(); }},
    {"integer", [](Runtime&, const Value& v) { return v.is<int64_t>(); }},
    {"float", [](Runtime&, const Value& v) { return v.is<double>(); }},
    {"number", [](Runtime&, const Value& v) { return v.is_number(); }},
    {"string", [](Runtime&, const Value& v) { return v.is_text(); }},
    {"mapping", [](Runtime&, const Value& v) { return v.is_dict(); }},
    {"sequence",
     [](Runtime&, const Value& v) {
       const bool views = v.is_sequence() && v.sequence().kind >= SequenceKind::dict_keys;
       return v.is_undefined() || v.is_text() || v.is_dict() || (v.is_sequence() && !views);
     }},
    {"iterable", [](Runtime&, const Value& v) { return is_iterable(v); }},
    {"callable",
     [](Runtime&, const Value& v) {
       return v.is_undefined() || v.is<std::shared_ptr<const Callable>>() || v.is<const Macro*>() ||
              v.is<std::shared_ptr<LoopState>>();
     }},
    {"odd", [](Runtime& r, const Value& v) { return modulo(r, v, 2) == 1; }},
    {"even", [](Runtime& r, const Value& v) { return modulo(r, v, 2) == 0; }},
    {"lower", [](Runtime& r, const Value& v) { return all_cased(to_text(r, v), false); }},
    {"upper", [](Runtime& r, const Value& v) { return all_cased(to_text(r, v), true); }},
    {"filter", [](Runtime& r, const Value& v) { return is_name(r, v) && is_filter(v.bytes()); }},
    {"test", [](Runtime& r, const Value& v) { return is_name(r, v) && is_test(v.bytes()); }},
};

template <char first, char second>
bool ordered_by(Runtime& runtime, const Value& a, const Value& b) {
  const char operation[] = {first, second, '\0'};
  return ordered(runtime.budget, a, operation, b);
}

bool are_equal(Runtime& runtime, const Value& a, const Value& b) {
  return equal(runtime.budget, a, b);
}
bool differ(Runtime& runtime, const Value& a, const Value& b) { return !are_equal(runtime, a, b); }

const std::unordered_map<std::string_view, Comparison> kComparisons = {
    {"==", are_equal},
    {"eq", are_equal},
    {"equalto", are_equal},
    {"!=", differ},
    {"ne", differ},
    {"<", ordered_by<'<', '\0'>},
    {"lt", ordered_by<'<', '\0'>},
    {"lessthan", ordered_by<'<', '\0'>},
    {"<=", ordered_by<'<', '='>},
    {"le", ordered_by<'<', '='>},
    {">", ordered_by<'>', '\0'>},
    {"gt", ordered_by<'>', '\0'>},
    {"greaterthan", ordered_by<'>', '\0'>},
    {">=", ordered_by<'>', '='>},
    {"ge", ordered_by<'>', '='>},
    {"in", [](Runtime& r, const Value& a, const Value& b) { return contains(r, a, b); }},
    {"sameas", [](Runtime&, const Value& a, const Value& b) { return a.same_as(b); }},
    {"divisibleby",
     [](Runtime& r, const Value& a, const Value& b) {
       return equal(r.budget, binary(r, "%", a, b), Value(int64_t{0}));
     }},
};

}  // namespace

bool is_test(std::string_view name) {
  return kPlain.contains(name) || kComparisons.contains(name) || name == "escaped";
}

bool apply_test(Runtime& runtime, const std::string& name, const Value& input,
                CallArguments arguments) {
  runtime.budget.step();
  if (const auto it = kPlain.find(name); it != kPlain.end()) {
    const BoundArguments bound("the test " + name, std::move(arguments), {});
    return it->second(runtime, input);
  }
  if (const auto it = kComparisons.find(name); it != kComparisons.end()) {
    const BoundArguments bound("the test " + name, std::move(arguments), {"other"}, 1);
    return it->second(runtime, input, bound[0]);
  }
  fail("the test \"", name, "\" is not supported");
}

}  // namespace longgen::jinja
