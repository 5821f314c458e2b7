// tokenizer/component.h: reading the parts of a tokenizer.json so that nothing in it is ignored.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/tokenizer/regex.h"

namespace longgen {

/// Throws Error naming the first key of `object` that is not in the list.
void check_keys(const JsonObject& object, std::initializer_list<std::string_view> known);

/// Throws Error saying that `what` of this type is not supported, and which types are.
[[noreturn]] void refuse_type(const JsonObject& object, const std::string& what,
                              const std::string& supported);

/// Calls visit(component) for the component in `parent`'s field `key`, or for each one when it is a
/// Sequence whose list is called `list_key`, Sequences inside included; for none when the field is
/// missing or null.
template <typename Visit>
void for_each_component(const JsonObject& parent, const std::string& key,
                        const std::string& list_key, Visit&& visit);

/// A pattern field: {"String": "..."} or {"Regex": "..."}.
struct PatternField {
  bool is_regex;
  std::string text;
  std::string where;  ///< for errors
  Regex compile() const {
    return is_regex ? Regex::pattern(text, where) : Regex::literal(text, where);
  }
};
PatternField read_pattern(const JsonObject& parent, const std::string& key);

/// Reads a string field of exactly one character.
std::string read_char(const JsonObject& parent, const std::string& key);

/// Gives the items of a list field, each with its path ("pretokenizers[0]"). Throws Error when the
/// field holds something else.
std::vector<JsonObject> read_objects(const JsonObject& parent, const std::string& key);

template <typename Visit>
void visit_component(const JsonObject& component, const std::string& list_key, Visit&& visit) {
  if (component.string("type") != "Sequence") return visit(component);
  check_keys(component, {"type", list_key});
  for (const JsonObject& item : read_objects(component, list_key))
    visit_component(item, list_key, visit);
}

template <typename Visit>
void for_each_component(const JsonObject& parent, const std::string& key,
                        const std::string& list_key, Visit&& visit) {
  if (parent.has(key)) visit_component(parent.object(key), list_key, visit);
}

}  // namespace longgen
