#include "longgen/grammar/schema_reference.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "longgen/grammar/schema_error.h"

namespace longgen {
namespace {

// A chain of references beyond is no schema that anybody wrote.
constexpr int kMostSteps = 64;
constexpr size_t kMostReferences = 256;

const OrderedJson* find(const OrderedJson& schema, const char* name) {
  const auto found = schema.is_object() ? schema.find(name) : schema.end();
  return found == schema.end() ? nullptr : &*found;
}

/// Finds which references lead to JSON that ends: those that do without others, then those that
/// do with these, and so on.
class FiniteSchemas {
 public:
  explicit FiniteSchemas(const OrderedJson& root) : root_(root) {}

  bool ends(const OrderedJson& schema) {
    while (!ends_now(schema)) {
      const std::set<std::string> met = met_;
      bool learned = false;
      for (const std::string& text : met) {
        const OrderedJson* const target = target_of(text);
        if (finite_.count(text) > 0 || target == nullptr || !ends_now(*target)) continue;
        finite_.insert(text);
        learned = true;
      }
      if (!learned && met_.size() == met.size()) return false;
    }
    return true;
  }

 private:
  const OrderedJson* target_of(const std::string& text) const {
    try {
      return &resolve(root_, OrderedJson{{"$ref", text}}, "").schema;
    } catch (const SchemaError&) {  // told where it is read
      return nullptr;
    }
  }

  bool ends_now(const OrderedJson& schema) {
    if (const OrderedJson* const text = find(schema, "$ref")) {
      if (!text->is_string()) return true;
      const auto& target = text->get_ref<const std::string&>();
      if (finite_.count(target) > 0) return true;
      met_.insert(target);
      // More of them are refused where they are read.
      return met_.size() > kMostReferences || target_of(target) == nullptr;
    }
    if (find(schema, "const") != nullptr || find(schema, "enum") != nullptr) return true;
    for (const char* name : {"anyOf", "oneOf", "allOf"}) {
      const OrderedJson* const list = find(schema, name);
      if (list == nullptr || !list->is_array()) continue;
      bool any = list->empty();
      for (const OrderedJson& option : *list) any = ends_now(option) || any;
      return any;
    }
    const OrderedJson* const type = find(schema, "type");
    if (type != nullptr && *type != "object" && *type != "array")
      return true;  // or a list of types
    return object_ends(schema) && array_ends(schema);
  }

  bool object_ends(const OrderedJson& schema) {
    const OrderedJson* const properties = find(schema, "properties");
    const OrderedJson* const required = find(schema, "required");
    const OrderedJson* const others = find(schema, "additionalProperties");
    if (required == nullptr || !required->is_array()) return true;
    bool all = true;
    for (const OrderedJson& name : *required) {
      if (!name.is_string()) continue;
      const auto& text = name.get_ref<const std::string&>();
      const OrderedJson* property =
          properties == nullptr ? nullptr : find(*properties, text.c_str());
      if (property == nullptr) property = others;
      if (property != nullptr) all = ends_now(*property) && all;
    }
    return all;
  }

  bool array_ends(const OrderedJson& schema) {
    bool all = true;
    const OrderedJson* const prefix = find(schema, "prefixItems");
    size_t num_prefix = 0;
    if (prefix != nullptr && prefix->is_array()) {
      num_prefix = prefix->size();
      for (const OrderedJson& item : *prefix) all = ends_now(item) && all;
    }
    const OrderedJson* const least = find(schema, "minItems");
    const OrderedJson* const items = find(schema, "items");
    const bool needs_items = least != nullptr && least->is_number() && items != nullptr &&
                             least->get<double>() > static_cast<double>(num_prefix);
    return all && (!needs_items || ends_now(*items));
  }

  const OrderedJson& root_;
  std::set<std::string> finite_, met_;
};

/// Follows references; nullptr where they lead nowhere.
const OrderedJson* followed(const OrderedJson& root, const OrderedJson* schema) {
  for (int step = 0; find(*schema, "$ref") != nullptr; ++step) {
    if (step == kMostSteps) return nullptr;
    try {
      schema = &resolve(root, *schema, "").schema;
    } catch (const SchemaError&) {  // told where it is read
      return nullptr;
    }
  }
  return schema;
}

std::string type_of(const OrderedJson& value) {
  if (value.is_number()) return "number";
  return value.type_name();
}

/// The types of the values that a schema allows; nullopt: not seen.
std::optional<std::set<std::string>> types_of(const OrderedJson& schema) {
  const OrderedJson* const one = find(schema, "const");
  const OrderedJson* const several = find(schema, "enum");
  std::set<std::string> types;
  if (one != nullptr) return std::set<std::string>{type_of(*one)};
  if (several != nullptr && several->is_array()) {
    for (const OrderedJson& value : *several) types.insert(type_of(value));
    return types;
  }
  const OrderedJson* const type = find(schema, "type");
  if (type == nullptr) {
    if (find(schema, "properties") != nullptr) return std::set<std::string>{"object"};
    return std::nullopt;
  }
  const OrderedJson list = type->is_array() ? *type : OrderedJson::array({*type});
  for (const OrderedJson& name : list) {
    if (!name.is_string()) return std::nullopt;
    const auto text = name.get<std::string>();
    types.insert(text == "integer" ? "number" : text);
  }
  return types;
}

/// Equal numbers have one text: 1 is 1.0.
std::string text_of(const OrderedJson& value) {
  return value.is_number() ? fmt::format("{}", value.get<double>()) : dump_json(value);
}

/// The values that const or enum allow, as JSON; nullopt: any.
std::optional<std::set<std::string>> values_of(const OrderedJson& root, const OrderedJson& schema) {
  const OrderedJson* const target = followed(root, &schema);
  if (target == nullptr) return std::nullopt;
  const OrderedJson* const one = find(*target, "const");
  const OrderedJson* const several = find(*target, "enum");
  if (one != nullptr) return std::set<std::string>{text_of(*one)};
  if (several == nullptr || !several->is_array()) return std::nullopt;
  std::set<std::string> values;
  for (const OrderedJson& value : *several) values.insert(text_of(value));
  return values;
}

template <typename T>
bool have_common(const std::set<T>& a, const std::set<T>& b) {
  return std::any_of(a.begin(), a.end(), [&](const T& each) { return b.count(each) > 0; });
}

/// The values of each required property that has only certain ones.
std::map<std::string, std::set<std::string>> tags_of(const OrderedJson& root,
                                                     const OrderedJson& schema) {
  std::map<std::string, std::set<std::string>> tags;
  const OrderedJson* const required = find(schema, "required");
  const OrderedJson* const properties = find(schema, "properties");
  if (required == nullptr || properties == nullptr || !required->is_array()) return tags;
  for (const OrderedJson& name : *required) {
    if (!name.is_string()) continue;
    const auto text = name.get<std::string>();
    const OrderedJson* const property = find(*properties, text.c_str());
    if (property == nullptr) continue;
    if (const auto values = values_of(root, *property)) tags[text] = *values;
  }
  return tags;
}

bool exclude(const OrderedJson& root, const OrderedJson& a, const OrderedJson& b) {
  const OrderedJson* const first = followed(root, &a);
  const OrderedJson* const second = followed(root, &b);
  if (first == nullptr || second == nullptr) return false;
  const auto types = types_of(*first), others = types_of(*second);
  if (!types || !others) return false;
  if (!have_common(*types, *others)) return true;
  const auto values = values_of(root, *first), other_values = values_of(root, *second);
  if (values && other_values) return !have_common(*values, *other_values);
  if (*types != std::set<std::string>{"object"} || *others != *types) return false;
  const auto tags = tags_of(root, *first), other_tags = tags_of(root, *second);
  return std::any_of(tags.begin(), tags.end(), [&](const auto& tag) {
    const auto other = other_tags.find(tag.first);
    return other != other_tags.end() && !have_common(tag.second, other->second);
  });
}

}  // namespace

Reference resolve(const OrderedJson& root, const OrderedJson& schema, const std::string& path) {
  const std::string place = path.empty() ? "$ref" : path + ".$ref";
  const OrderedJson& reference = schema.at("$ref");
  const auto* const text = reference.get_ptr<const std::string*>();
  if (text == nullptr || !text->starts_with('#') || (text->size() > 1 && (*text)[1] != '/')) {
    throw SchemaError(place, "expected a reference within the schema, as \"#/$defs/name\" is.");
  }
  try {
    return {*text, root.at(OrderedJson::json_pointer(text->substr(1)))};
  } catch (const OrderedJson::exception&) {
    throw SchemaError(place, "nothing stands in the schema where this reference leads.");
  }
}

std::string path_of(const std::string& root_path, const std::string& reference) {
  std::string path = root_path;
  for (const char c : reference.substr(1)) {
    if (c != '/') {
      path += c;
    } else if (!path.empty()) {
      path += '.';
    }
  }
  return path;
}

bool is_finite(const OrderedJson& root, const OrderedJson& schema) {
  return FiniteSchemas(root).ends(schema);
}

bool exclude_each_other(const OrderedJson& root, const OrderedJson& schemas) {
  for (size_t i = 0; i < schemas.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (!exclude(root, schemas[i], schemas[j])) return false;
    }
  }
  return true;
}

}  // namespace longgen
