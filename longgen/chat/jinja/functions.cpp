#include "longgen/chat/jinja/functions.h"

#include <ctime>

#include "longgen/chat/jinja/bound_arguments.h"
#include "longgen/chat/jinja/operators.h"

namespace longgen::jinja {
namespace {

constexpr int64_t kMaxRange = 100'000;  // as Jinja's sandbox has it

Value range(Runtime& runtime, CallArguments arguments) {
  const BoundArguments bound("range()", std::move(arguments), {"start", "stop", "step"}, 1);
  const int64_t begin = bound.has(1) ? bound.integer(0, 0) : 0;
  const int64_t end = bound.integer(bound.has(1) ? 1 : 0, 0), step = bound.integer(2, 1);
  if (step == 0) fail("range() arg 3 must not be zero");
  Values items;
  for (int64_t at = begin; step > 0 ? at < end : at > end;) {
    if (static_cast<int64_t>(items.size()) == kMaxRange) {
      fail("Range too big. The sandbox blocks ranges larger than ", kMaxRange, ".");
    }
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  runtime.budget.take(sizeof(Sequence) + items.size() * sizeof(Value));
  Sequence sequence{SequenceKind::range, std::move(items)};
  sequence.range_repr = detail::concat("range(", begin, ", ", end);
  if (step != 1) sequence.range_repr += detail::concat(", ", step);
  sequence.range_repr += ")";
  return Value(Value::Storage(std::make_shared<const Sequence>(std::move(sequence))));
}

/// What dict() is made of: another dict, or pairs; then the named arguments.
Dict make_dict(Runtime& runtime, const char* function, CallArguments& arguments) {
  if (arguments.positional.size() > 1) fail(function, " takes at most one positional argument");
  Dict dict;
  if (!arguments.positional.empty()) {
    const Value& source = arguments.positional[0];
    if (source.is_dict()) {
      dict = source.dict();
    } else {
      for (const Value& item : collect(runtime, source)) {
        const Values both = collect(runtime, item);
        if (both.size() != 2) fail(function, ": expected pairs, found ", both.size(), " items");
        dict.set(runtime.budget, both[0], both[1]);
      }
    }
  }
  for (auto& [name, value] : arguments.named) {
    dict.set_text(runtime.text(name, Origin::written), std::move(value));
  }
  return dict;
}

Value dict(Runtime& runtime, CallArguments arguments) {
  return runtime.dict(make_dict(runtime, "dict()", arguments));
}

Value name_space(Runtime& runtime, CallArguments arguments) {
  const Dict attributes = make_dict(runtime, "namespace()", arguments);
  Value value = runtime.make_namespace();
  runtime.budget.take(attributes.items().size() * 256);
  for (const Dict::Item& item : attributes.items()) {
    const std::string& name = require_text(item.key, "namespace()").bytes();
    if (name.starts_with('_')) {
      fail("names of a namespace must not begin with _, found ", name);
    }
    value.get<Namespace*>()->set(name, item.value);
  }
  return value;
}

Value raise_exception(Runtime& runtime, CallArguments arguments) {
  const BoundArguments bound("raise_exception()", std::move(arguments), {"message"}, 1);
  fail(to_text(runtime, bound[0]).bytes());
}

/// One conversion of strftime: what Python on Linux gives for it, in the C locale.
std::string date_part(const std::tm& now, char conversion, bool unpadded) {
  static constexpr std::string_view kKnown = "aAbBcCdDeFgGhHIjklmMnpPrRStTuUVwWxXyY%";
  if (conversion == 'f') return "000000";                 // the clock is read in whole seconds
  if (conversion == 'z' || conversion == 'Z') return "";  // the time names no zone
  if (kKnown.find(conversion) == std::string_view::npos) {
    fail("strftime_now(): the conversion %", conversion, " is not supported");
  }
  const char format[] = {'%', unpadded ? '-' : conversion, unpadded ? conversion : '\0', '\0'};
  char text[128];
  return {text, std::strftime(text, sizeof(text), format, &now)};
}

Value strftime_now(Runtime& runtime, CallArguments arguments) {
  const BoundArguments bound("strftime_now()", std::move(arguments), {"format"}, 1);
  const std::string& format = bound.text(0).bytes();
  const std::tm now = runtime.now();
  TextBuilder out(runtime.budget);
  for (size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%' || at + 1 == format.size()) {
      out.append({&format[at], 1}, Origin::data);
      continue;
    }
    const bool unpadded = format[++at] == '-' && at + 1 < format.size();
    if (unpadded) ++at;
    out.append(date_part(now, format[at], unpadded), Origin::data);
  }
  return runtime.text(out.take());
}

Value function(const char* name, Value (*call)(Runtime&, CallArguments)) {
  return Value(Value::Storage(std::make_shared<const Callable>(Callable{name, call})));
}

Value refused(const std::string& name) {
  const auto call = [name](Runtime&, CallArguments) -> Value {
    fail("the function ", name, "() is not supported");
  };
  return Value(Value::Storage(std::make_shared<const Callable>(Callable{name, call})));
}

}  // namespace

const std::map<std::string, Value, std::less<>>& global_functions() {
  static const std::map<std::string, Value, std::less<>> functions = {
      {"range", function("range", range)},
      {"dict", function("dict", dict)},
      {"namespace", function("namespace", name_space)},
      {"raise_exception", function("raise_exception", raise_exception)},
      {"strftime_now", function("strftime_now", strftime_now)},
      {"joiner", refused("joiner")},
      {"cycler", refused("cycler")},
      {"lipsum", refused("lipsum")},
  };
  return functions;
}

}  // namespace longgen::jinja
