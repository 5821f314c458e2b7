// train/recipe/recipe_values.h: single values of a recipe, from TOML to the members of Recipe.
#pragma once

#include <toml++/toml.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "longgen/train/recipe/recipe_fields.h"

namespace longgen::recipe_fields {

/// Cuts a text to at most 60 bytes, between two characters.
std::string shortened(std::string text);
/// Shows a value that was found, short enough for a message.
std::string shown(std::string_view text);
std::string shown(const toml::node& node);

/// A value, and the place where it stands.
struct Entry {
  const toml::node* node = nullptr;
  std::string where;                 // the beginning of a message about it
  std::optional<std::string> given;  // for overrides: the text after "="
};

/// Says where a value stands: of a file its line.
std::string place(const std::string& source, const toml::node& node);

/// Throws "WHERE: expected EXPECTED, found ...".
[[noreturn]] void wrong(const Entry& entry, const std::string& expected);

/// Checks one value against its rule and stores it. Throws Error for a wrong type or a value out of
/// range.
void read(const Entry& entry, std::string& member, const Text& rule);
void read(const Entry& entry, int64_t& member, const Count& rule);
void read(const Entry& entry, double& member, const Number& rule);
void read(const Entry& entry, bool& member, YesNo rule);
void read(const Entry& entry, RopeChange& member, Rope rule);

/// Reads the tables of [[data.sources]]; `source` names the file, and is empty for an override. A
/// source without packing gets `packing`. Calls found(key, where) for every value.
void read_sources(
    const Entry& entry, const std::string& source, PackingMode packing,
    std::vector<DataSource>& sources,
    const std::function<void(const std::string& key, const std::string& where)>& found);

/// Gives every source without a name the last part of its path, and of several that are called so
/// all but the first a number ("books-2"). Throws Error, with `where` of the key, on a name that
/// was given twice.
void name_sources(std::vector<DataSource>& sources,
                  const std::function<std::string(const std::string& key)>& where);

template <typename Enum, size_t N>
void read(const Entry& entry, Enum& member, const Choice<Enum, N>& rule) {
  const auto* text = entry.node->as_string();
  std::string expected;
  for (size_t i = 0; i < N; ++i) {
    if (text != nullptr && text->get() == rule.choices[i].name) {
      member = rule.choices[i].value;
      return;
    }
    expected += (i == 0 ? "" : i + 1 == N ? " or " : ", ") + toml_quoted(rule.choices[i].name);
  }
  wrong(entry, expected);
}

}  // namespace longgen::recipe_fields
