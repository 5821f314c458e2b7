// data/compose/wording.h: sentences with blanks.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace longgen {

struct Blank {
  std::string_view name, value;
};

/// Replaces each {name} of the wording by its value, and {Name} by the value with a capital letter.
/// A blank that is not given is an internal error.
std::string fill(std::string_view wording, std::initializer_list<Blank> blanks);

/// Writes "the A, the B and the C": `article` stands before each.
template <typename List>
std::string listed(const List& values, std::string_view article = "") {
  std::string text;
  for (size_t i = 0; i < values.size(); ++i) {
    if (i > 0) text += i + 1 == values.size() ? " and " : ", ";
    text.append(article).append(values[i]);
  }
  return text;
}

}  // namespace longgen
