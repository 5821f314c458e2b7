#include "longgen/serve/openai/rule.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "longgen/base/check.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::openai {
namespace {

/// Returns the integer that a value is; nullopt for others and beyond 64 bits.
std::optional<int64_t> as_integer(const OrderedJson& json) {
  constexpr double kLargestExact = 9007199254740992;  // 2^53: above, doubles leave integers out
  if (json.is_number_float()) {
    const double value = json.get<double>();
    if (std::abs(value) > kLargestExact || value != std::trunc(value)) return std::nullopt;
    return static_cast<int64_t>(value);
  }
  if (!json.is_number_integer()) return std::nullopt;
  if (json.is_number_unsigned() && json.get<uint64_t>() > uint64_t{INT64_MAX}) return std::nullopt;
  return json.get<int64_t>();
}

bool is_name(const std::string& text) {
  const auto fits = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), fits);
}

}  // namespace

Rule<bool> boolean() {
  return {{{"type", "boolean"}}, [](const Input& input) {
            if (!input.json().is_boolean()) input.refuse("true or false");
            return input.json().get<bool>();
          }};
}

Rule<int64_t> integer(int64_t low, int64_t high) {
  return {{{"type", "integer"}, {"minimum", low}, {"maximum", high}},
          [low, high](const Input& input) {
            const std::optional<int64_t> value = as_integer(input.json());
            if (!value || *value < low || *value > high) {
              input.refuse(detail::concat("an integer from ", low, " to ", high));
            }
            return *value;
          }};
}

Rule<int32_t> token_id(int64_t vocab_size) {
  Rule<int64_t> id = integer(0, vocab_size - 1);
  return {std::move(id.schema), [vocab_size](const Input& input) {
            const std::optional<int64_t> value = as_integer(input.json());
            if (!value || *value < 0 || *value >= vocab_size) {
              input.refuse(detail::concat("the id of a token from 0 to ", vocab_size - 1));
            }
            return static_cast<int32_t>(*value);
          }};
}

Rule<double> number(double low, double high) {
  return {{{"type", "number"}, {"minimum", low}, {"maximum", high}},
          [low, high](const Input& input) {
            const double value = input.json().is_number() ? input.json().get<double>() : NAN;
            if (!(value >= low && value <= high)) {
              input.refuse(detail::concat("a number from ", low, " to ", high));
            }
            return value;
          }};
}

Rule<double> number_above(double low, double high) {
  return {{{"type", "number"}, {"exclusiveMinimum", low}, {"maximum", high}},
          [low, high](const Input& input) {
            const double value = input.json().is_number() ? input.json().get<double>() : NAN;
            if (!(value > low && value <= high)) {
              input.refuse(detail::concat("a number above ", low, " and at most ", high));
            }
            return value;
          }};
}

std::string length_words(size_t shortest, size_t longest, const std::string& noun) {
  const std::string nouns =
      noun + (longest == 1 || (longest == kAnyLength && shortest == 1) ? "" : "s");
  if (longest == kAnyLength) return detail::concat("at least ", shortest, " ", nouns);
  return detail::concat(shortest, " to ", longest, " ", nouns);
}

Rule<std::string> text(size_t shortest, size_t longest) {
  const bool any = shortest == 0 && longest == kAnyLength;
  std::string expected =
      any ? "a text" : "a text of " + length_words(shortest, longest, "character");
  OrderedJson schema = {{"type", "string"}};
  if (shortest > 0) schema["minLength"] = shortest;
  if (longest != kAnyLength) schema["maxLength"] = longest;
  return {std::move(schema),
          [shortest, longest, expected = std::move(expected)](const Input& input) {
            if (!input.json().is_string()) input.refuse(expected);
            const auto& value = input.json().get_ref<const std::string&>();
            const size_t length = count_utf8(value);
            if (length < shortest || length > longest) input.refuse(expected);
            return value;
          }};
}

Rule<std::string> name() {
  return {{{"type", "string"}, {"pattern", "^[a-zA-Z0-9_-]{1,64}$"}}, [](const Input& input) {
            const auto* const value = input.json().get_ptr<const std::string*>();
            if (value == nullptr || !is_name(*value)) {
              input.refuse("a name of 1 to 64 letters, digits, \"_\" and \"-\"");
            }
            return *value;
          }};
}

Rule<std::string> the_text(const std::string& wanted) {
  return {{{"type", "string"}, {"const", wanted}}, [wanted](const Input& input) {
            if (input.json() != wanted) input.refuse("\"" + wanted + "\"");
            return wanted;
          }};
}

Rule<OrderedJson> any_object() {
  return {{{"type", "object"}}, [](const Input& input) {
            if (!input.json().is_object()) input.refuse("an object");
            return input.json();
          }};
}

void check_list(const Input& input, size_t shortest, size_t longest) {
  const size_t size = input.json().is_array() ? input.json().size() : 0;
  if (input.json().is_array() && size >= shortest && size <= longest) return;
  const bool any = shortest == 0 && longest == kAnyLength;
  input.refuse(any ? "a list" : "a list of " + length_words(shortest, longest, "item"));
}

OrderedJson list_schema(OrderedJson items, size_t shortest, size_t longest) {
  OrderedJson schema = {{"type", "array"}, {"items", std::move(items)}};
  if (shortest > 0) schema["minItems"] = shortest;
  if (longest != kAnyLength) schema["maxItems"] = longest;
  return schema;
}

}  // namespace longgen::openai
