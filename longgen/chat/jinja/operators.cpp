#include "longgen/chat/jinja/operators.h"

#include <cmath>

#include "longgen/chat/jinja/percent_format.h"
#include "longgen/chat/jinja/python.h"

namespace longgen::jinja {
namespace {

[[noreturn]] void fail_overflow() {
  fail("the result is no integer of 64 bits: longer ones are not supported");
}

int64_t floor_divide(int64_t a, int64_t b) {
  if (b == 0) fail("division by zero");
  if (a == INT64_MIN && b == -1) fail_overflow();
  const int64_t quotient = a / b;
  return a % b != 0 && (a < 0) != (b < 0) ? quotient - 1 : quotient;
}

int64_t modulo(int64_t a, int64_t b) {
  if (b == 0) fail("modulo by zero");
  if (b == -1) return 0;
  const int64_t rest = a % b;
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

int64_t power(int64_t base, int64_t exponent) {
  int64_t result = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(result, base, &result)) fail_overflow();
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) fail_overflow();
  }
  return result;
}

double modulo(double a, double b) {
  if (b == 0) fail("float modulo by zero");
  const double rest = std::fmod(a, b);
  if (rest == 0) return std::copysign(0.0, b);
  return (rest < 0) != (b < 0) ? rest + b : rest;
}

double floor_divide(double a, double b) {
  if (b == 0) fail("float floor division by zero");
  const double quotient = (a - modulo(a, b)) / b;
  const double whole = std::floor(quotient);
  if (quotient == 0) return std::copysign(0.0, a / b);
  return quotient - whole > 0.5 ? whole + 1 : whole;
}

Value integers(const std::string& symbol, int64_t a, int64_t b) {
  int64_t result = 0;
  if (symbol == "+" || symbol == "-" || symbol == "*") {
    const bool overflows = symbol == "+"   ? __builtin_add_overflow(a, b, &result)
                           : symbol == "-" ? __builtin_sub_overflow(a, b, &result)
                                           : __builtin_mul_overflow(a, b, &result);
    if (overflows) fail_overflow();
    return Value(result);
  }
  if (symbol == "//") return Value(floor_divide(a, b));
  if (symbol == "%") return Value(modulo(a, b));
  if (symbol == "**" && b >= 0) return Value(power(a, b));
  if (b == 0 || (a == 0 && symbol == "**")) fail("division by zero");
  const auto x = static_cast<double>(a), y = static_cast<double>(b);
  return Value(symbol == "/" ? x / y : std::pow(x, y));
}

Value floats(const std::string& symbol, double a, double b) {
  if (symbol == "+") return Value(a + b);
  if (symbol == "-") return Value(a - b);
  if (symbol == "*") return Value(a * b);
  if (symbol == "//") return Value(floor_divide(a, b));
  if (symbol == "%") return Value(modulo(a, b));
  if (symbol == "/") {
    if (b == 0) fail("float division by zero");
    return Value(a / b);
  }
  if (a == 0 && b < 0) fail("0.0 cannot be raised to a negative power");
  const double result = std::pow(a, b);
  if (std::isinf(result) && std::isfinite(a) && std::isfinite(b))
    fail("the result is out of range");
  return Value(result);
}

/// A list, tuple or string, some times over.
Value repeated(Runtime& runtime, const Value& value, int64_t times) {
  const auto count = static_cast<size_t>(std::max<int64_t>(times, 0));
  if (value.is_text()) {
    const Text& text = value.text();
    if (count > 0 && text.size() > runtime.budget.limits().text_bytes / count) {
      runtime.budget.check_text(runtime.budget.limits().text_bytes + 1);
    }
    TextBuilder out(runtime.budget);
    for (size_t i = 0; i < count && !text.empty(); ++i) out.append(text);
    return runtime.text(out.take());
  }
  const Sequence& sequence = value.sequence();
  Values items;
  if (count > 0 && sequence.items.size() > runtime.budget.limits().list_items / count) {
    runtime.budget.check_items(runtime.budget.limits().list_items + 1);
  }
  for (size_t i = 0; i < count && !sequence.items.empty(); ++i) {
    items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  }
  return runtime.sequence(std::move(items), sequence.kind);
}

bool is_list_or_tuple(const Value& value) {
  return value.is_sequence() && (value.sequence().kind == SequenceKind::list ||
                                 value.sequence().kind == SequenceKind::tuple);
}

Value joined(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is_text()) {
    TextBuilder out(runtime.budget);
    out.append(a.text());
    out.append(b.text());
    return runtime.text(out.take());
  }
  Values items = a.sequence().items;
  const Values& more = b.sequence().items;
  runtime.budget.check_items(items.size() + more.size());
  items.insert(items.end(), more.begin(), more.end());
  return runtime.sequence(std::move(items), a.sequence().kind);
}

}  // namespace

Value binary(Runtime& runtime, const std::string& symbol, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    // Jinja takes the sign out of the power where the number is written out, and Python has complex
    // numbers.
    if (symbol == "**" && std::signbit(to_double(a))) {
      fail("a power of a negative number is not supported");
    }
    if (a.is<double>() || b.is<double>()) return floats(symbol, to_double(a), to_double(b));
    return integers(symbol, to_int(a, "number"), to_int(b, "number"));
  }
  const auto is_markup = [](const Value& value) {
    return value.is_text() && value.text().is_markup();
  };
  if (is_markup(a) || is_markup(b)) {
    fail("the operator ", symbol, " after the filters escape and safe is not supported");
  }
  if (symbol == "%" && a.is_text()) return runtime.text(percent_format(runtime, a.text(), b));
  for (const Value* side : {&a, &b}) {
    if (side->is_undefined()) fail(*side->get<Undefined>().message);
  }
  const bool lists =
      is_list_or_tuple(a) && is_list_or_tuple(b) && a.sequence().kind == b.sequence().kind;
  if (symbol == "+" && (lists || (a.is_text() && b.is_text()))) return joined(runtime, a, b);
  if (symbol == "*") {
    const auto repeats = [](const Value& what, const Value& times) {
      return (what.is_text() || is_list_or_tuple(what)) &&
             (times.is<int64_t>() || times.is<bool>());
    };
    if (repeats(a, b)) return repeated(runtime, a, to_int(b, "*"));
    if (repeats(b, a)) return repeated(runtime, b, to_int(a, "*"));
  }
  fail("unsupported operand types for ", symbol, ": '", type_name(a), "' and '", type_name(b), "'");
}

Value sign(const std::string& symbol, const Value& a) {
  if (!a.is_number()) {
    if (a.is_undefined()) fail(*a.get<Undefined>().message);
    fail("bad operand type for unary ", symbol, ": '", type_name(a), "'");
  }
  if (a.is<double>()) return Value(symbol == "-" ? -a.get<double>() : a.get<double>());
  return integers(symbol, 0, to_int(a, "number"));
}

}  // namespace longgen::jinja
