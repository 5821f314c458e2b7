// serve/openai/rule.h: what a value may be. One rule reads it, refuses it and describes it.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "longgen/base/choice.h"
#include "longgen/serve/openai/input.h"

namespace longgen::openai {

template <typename T>
struct Rule {
  OrderedJson schema;                   ///< JSON Schema of what `read` takes
  std::function<T(const Input&)> read;  ///< throws ApiError on anything else
};

constexpr size_t kAnyLength = std::numeric_limits<size_t>::max();

Rule<bool> boolean();
/// An integer, also one that is written as 5.0, as JSON Schema has it.
Rule<int64_t> integer(int64_t low, int64_t high);
/// The id of a token.
Rule<int32_t> token_id(int64_t vocab_size);
Rule<double> number(double low, double high);
/// A number that is larger than `low`.
Rule<double> number_above(double low, double high);
/// A text of so many characters.
Rule<std::string> text(size_t shortest = 0, size_t longest = kAnyLength);
/// The name of a function or schema: 1 to 64 letters, digits, "_" and "-".
Rule<std::string> name();
/// One certain text.
Rule<std::string> the_text(const std::string& wanted);
/// An object, which is not looked into.
Rule<OrderedJson> any_object();

/// Returns "1 to 4 items", "at least 1 item" or "any number of items".
std::string length_words(size_t shortest, size_t longest, const std::string& noun);

/// Refuses what is no list of so many items.
void check_list(const Input& input, size_t shortest, size_t longest);

OrderedJson list_schema(OrderedJson items, size_t shortest, size_t longest);

template <typename T>
Rule<std::vector<T>> list(Rule<T> item, size_t shortest = 0, size_t longest = kAnyLength) {
  OrderedJson schema = list_schema(std::move(item.schema), shortest, longest);
  auto read = [item = std::move(item.read), shortest, longest](const Input& input) {
    check_list(input, shortest, longest);
    std::vector<T> values;
    values.reserve(input.json().size());
    for (size_t i = 0; i < input.json().size(); ++i) values.push_back(item(input.item(i)));
    return values;
  };
  return {std::move(schema), std::move(read)};
}

/// One value, or a list of at most `longest`.
template <typename T>
Rule<std::vector<T>> one_or_list(Rule<T> item, size_t longest) {
  const Rule<std::vector<T>> several = list(item, 0, longest);
  OrderedJson schema = {{"anyOf", {item.schema, several.schema}}};
  auto read = [item = std::move(item.read), several = several.read](const Input& input) {
    return input.json().is_array() ? several(input) : std::vector<T>{item(input)};
  };
  return {std::move(schema), std::move(read)};
}

/// One of the names of an enum.
template <typename Enum, size_t N>
Rule<Enum> one_of(const Choice<Enum, N>& choice) {
  auto read = [choice](const Input& input) {
    if (input.json().is_string()) {
      for (const auto& each : choice.choices) {
        if (each.name == input.json().template get_ref<const std::string&>()) return each.value;
      }
    }
    input.refuse(listed_names(choice.names()));
  };
  return {{{"type", "string"}, {"enum", choice.names()}}, std::move(read)};
}

}  // namespace longgen::openai
