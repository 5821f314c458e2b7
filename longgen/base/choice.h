// base/choice.h: the values of an enum, by the names that files and options give them.
#pragma once

#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/base/nearest_name.h"

namespace longgen {

template <typename Enum>
struct NamedChoice {
  std::string_view name;
  Enum value;
};

/// The one list of an enum's names: recipes, options, reports and messages all read it.
template <typename Enum, size_t N>
struct Choice {
  std::array<NamedChoice<Enum>, N> choices;

  /// Returns all names, in the order of the list.
  std::vector<std::string> names() const {
    std::vector<std::string> all;
    for (const auto& choice : choices) all.emplace_back(choice.name);
    return all;
  }

  std::string name(Enum value) const {
    for (const auto& choice : choices) {
      if (choice.value == value) return std::string(choice.name);
    }
    LG_FAIL("internal error: value ", static_cast<int>(value), " of ", listed_names(names()),
            " has no name. Please report this.");
  }

  /// Reads a name back. Throws Error as "WHERE: expected a, b or c, found "d"."
  Enum parse(std::string_view name, std::string_view where) const {
    for (const auto& choice : choices) {
      if (choice.name == name) return choice.value;
    }
    LG_FAIL(where, ": expected ", listed_names(names()), ", found \"", name, "\".");
  }
};

}  // namespace longgen
