// Filters of numbers, and what makes numbers.
#include <charconv>
#include <cmath>
#include <cstdio>

#include "longgen/chat/jinja/bound_arguments.h"
#include "longgen/chat/jinja/filters.h"
#include "longgen/chat/jinja/operators.h"
#include "longgen/chat/jinja/text_tools.h"

namespace longgen::jinja {
namespace {

Value absolute(Runtime&, const Value& input, CallArguments arguments) {
  const BoundArguments bound("abs", std::move(arguments), {});
  if (input.is_undefined()) fail(*input.get<Undefined>().message);
  if (!input.is_number()) fail("bad operand type for abs(): '", type_name(input), "'");
  if (input.is<double>()) return Value(std::abs(input.get<double>()));
  const int64_t number = to_int(input, "abs");
  return number < 0 ? sign("-", input) : Value(number);
}

/// A number as Python's int() and float() read it: blanks around it, and single _ between digits.
std::string plain_number(const Text& text) {
  const std::string inner = stripped(text, Side::both).bytes();
  std::string plain;
  for (size_t i = 0; i < inner.size(); ++i) {
    const auto digit = [&](size_t at) {
      return at < inner.size() && std::isxdigit(static_cast<unsigned char>(inner[at])) != 0;
    };
    if (inner[i] != '_') {
      plain.push_back(inner[i]);
    } else if (i == 0 || !digit(i - 1) || !digit(i + 1)) {
      return "";
    }
  }
  return plain;
}

std::optional<double> read_double(const Text& text) {
  std::string plain = plain_number(text);
  const bool negative = plain.starts_with('-');
  if (negative || plain.starts_with('+')) plain.erase(0, 1);
  if (plain.empty() || plain[0] == '-' || plain[0] == '+') return std::nullopt;
  double number = 0;
  const auto read = std::from_chars(plain.data(), plain.data() + plain.size(), number);
  if (read.ptr != plain.data() + plain.size()) return std::nullopt;
  // Python gives infinity for what is too large and 0 for what is too small.
  if (read.ec == std::errc::result_out_of_range) number = std::strtod(plain.c_str(), nullptr);
  if (read.ec != std::errc() && read.ec != std::errc::result_out_of_range) return std::nullopt;
  return negative ? -number : number;
}

std::optional<int64_t> read_int(const Text& text, int64_t base) {
  std::string plain = plain_number(text);
  const bool negative = plain.starts_with('-');
  if (negative || plain.starts_with('+')) plain.erase(0, 1);
  const std::string prefix = base == 16 ? "x" : base == 8 ? "o" : base == 2 ? "b" : "";
  const bool prefixed = !prefix.empty() && plain.size() > 2 && plain[0] == '0' &&
                        std::tolower(static_cast<unsigned char>(plain[1])) == prefix[0];
  if (prefixed) plain.erase(0, 2);
  if (plain.empty() || plain[0] == '-' || plain[0] == '+') return std::nullopt;
  if (negative) plain.insert(0, "-");
  int64_t number = 0;
  const auto read =
      std::from_chars(plain.data(), plain.data() + plain.size(), number, static_cast<int>(base));
  if (read.ptr != plain.data() + plain.size()) return std::nullopt;
  if (read.ec == std::errc::result_out_of_range)
    fail("int: the number is no integer of 64 bits: longer ones are not supported");
  return read.ec == std::errc() ? std::optional<int64_t>(number) : std::nullopt;
}

std::optional<Value> whole(std::optional<double> number) {
  if (!number || !std::isfinite(*number)) return std::nullopt;
  if (std::abs(*number) >= 9.2e18)
    fail("int: the number is no integer of 64 bits: longer ones are not supported");
  return Value(static_cast<int64_t>(std::trunc(*number)));
}

Value integer(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("int", std::move(arguments), {"default", "base"});
  const Value fallback = bound.has(0) ? bound[0] : Value(int64_t{0});
  if (input.is_undefined()) fail(*input.get<Undefined>().message);
  if (input.is<double>()) return whole(input.get<double>()).value_or(fallback);
  if (input.is_number()) return Value(to_int(input, "int"));
  if (!input.is_text()) return fallback;
  const int64_t base = bound.integer(1, 10);
  if (base < 2 || base > 36) fail("int: expected a base from 2 to 36, found ", base);
  runtime.budget.step(input.text().size());
  if (const auto number = read_int(input.text(), base)) return Value(*number);
  return whole(read_double(input.text())).value_or(fallback);
}

Value floating(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("float", std::move(arguments), {"default"});
  if (input.is_undefined()) fail(*input.get<Undefined>().message);
  if (input.is_number()) return Value(to_double(input));
  if (input.is_text()) {
    runtime.budget.step(input.text().size());
    if (const auto number = read_double(input.text())) return Value(*number);
  }
  return bound.has(0) ? bound[0] : Value(0.0);
}

/// Rounds a number as written in decimal, half to even, as Python does.
double rounded(double number, int64_t digits) {
  if (!std::isfinite(number) || digits > 300) return number;
  if (digits < -300) return std::copysign(0.0, number);
  if (digits <= 0) {
    const double unit = std::pow(10.0, static_cast<double>(-digits));
    return std::nearbyint(number / unit) * unit;
  }
  char text[700];
  std::snprintf(text, sizeof(text), "%.*f", static_cast<int>(digits), number);
  return std::strtod(text, nullptr);
}

Value round(Runtime&, const Value& input, CallArguments arguments) {
  const BoundArguments bound("round", std::move(arguments), {"precision", "method"});
  const std::string method = bound.has(1) ? bound.text(1).bytes() : "common";
  if (method != "common" && method != "ceil" && method != "floor") {
    fail("round: expected the method common, ceil or floor");
  }
  if (input.is_undefined()) fail(*input.get<Undefined>().message);
  if (!input.is_number()) fail("round: expected a number, found '", type_name(input), "'");
  const int64_t precision = bound.integer(0, 0);
  const double number = to_double(input);
  if (method == "common") {
    if (input.is<double>()) return Value(rounded(number, precision));
    if (precision < 0) fail("round of an integer to tens is not supported");
    return Value(to_int(input, "round"));
  }
  if (precision < -300 || precision > 300) fail("round: expected a precision from -300 to 300");
  const double unit = std::pow(10.0, static_cast<double>(precision));
  const double scaled = number * unit;
  if (!std::isfinite(scaled)) fail("round: the number is out of range");
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

Value count(Runtime& runtime, const Value& input, CallArguments arguments) {
  const BoundArguments bound("length", std::move(arguments), {});
  if (input.is_text()) runtime.budget.step(input.text().size());
  return Value(length(input));
}

}  // namespace

const FilterTable& number_filters() {
  static const FilterTable table = {
      {"abs", absolute}, {"int", integer},  {"float", floating},
      {"round", round},  {"length", count}, {"count", count},
  };
  return table;
}

}  // namespace longgen::jinja
