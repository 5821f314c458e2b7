#include "longgen/grammar/schema_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "longgen/grammar/char_set.h"
#include "longgen/grammar/leaf_rules.h"
#include "longgen/grammar/schema_place.h"
#include "longgen/grammar/schema_reference.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

using Rules = EbnfRules;

constexpr const char* kSeparator = "space \",\" space";
// Each is held against each other one.
constexpr size_t kMostOneOf = 50;
constexpr const char* kColon = "space \":\" space";

/// What says nothing about a value.
const std::set<std::string>& annotations() {
  static const std::set<std::string> names = {
      "title",     "description", "default", "examples", "deprecated", "readOnly",
      "writeOnly", "$comment",    "$schema", "$id",      "$defs",      "definitions"};
  return names;
}

/// The keywords of a type.
const std::map<std::string, std::set<std::string>>& keywords() {
  static const std::set<std::string> of_numbers = {"minimum", "maximum", "exclusiveMinimum",
                                                   "exclusiveMaximum"};
  static const std::map<std::string, std::set<std::string>> names = {
      {"object", {"properties", "required", "additionalProperties"}},
      {"array", {"items", "prefixItems", "minItems", "maxItems"}},
      {"string", {"minLength", "maxLength", "pattern", "format"}},
      {"integer", of_numbers},
      {"number", of_numbers},
      {"boolean", {}},
      {"null", {}},
  };
  return names;
}

std::string joined(const std::vector<std::string>& options) {
  return fmt::format("{}", fmt::join(options, " | "));
}

bool is_of_type(const OrderedJson& value, const std::string& type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "number") return value.is_number();
  if (!value.is_number()) return false;
  return value.is_number_integer() || std::trunc(value.get<double>()) == value.get<double>();
}

class SchemaRules {
 public:
  SchemaRules(const OrderedJson& root, const std::string& path, EbnfRules& rules)
      : root_(root), root_path_(path), rules_(rules) {}

  std::string add() {
    if (!is_finite(root_, root_)) {
      refuse_schema(root_path_,
                    "no JSON that ends meets it: it refers to itself without a way out.");
    }
    return rule(root_, root_path_, 0);
  }

 private:
  static void count(int64_t& counter, int64_t more, int64_t most, const std::string& path,
                    const char* what) {
    counter += more;
    if (counter <= most) return;
    refuse_schema(path, fmt::format("expected at most {} {} in all of the schema.", most, what));
  }

  /// The name of a rule for a schema.
  std::string rule(const OrderedJson& schema, const std::string& path, int64_t depth) {
    if (depth > SchemaLimits::kDepth) {
      refuse_schema(path, fmt::format("expected schemas at most {} deep in each other.",
                                      SchemaLimits::kDepth));
    }
    if (schema.is_boolean()) {
      if (schema.get<bool>()) return Rules::kValue;
      refuse_schema(path, "false allows no value.");
    }
    if (!schema.is_object()) refuse_schema(path, "expected a schema: an object, true or false.");
    if (schema.contains("$ref")) return reference(schema, path, depth);
    return rules_.add(body(schema, path, depth));
  }

  std::string body(const OrderedJson& schema, const std::string& path, int64_t depth) {
    if (schema.contains("const")) return values(schema, "const", path);
    if (schema.contains("enum")) return values(schema, "enum", path);
    for (const char* name : {"anyOf", "oneOf", "allOf"}) {
      if (schema.contains(name)) return options(schema, name, path, depth);
    }
    const std::vector<std::string> types = types_of(schema, path);
    std::set<std::string> allowed = {"type"};
    for (const std::string& type : types) {
      const auto& names = keywords().at(type);
      allowed.insert(names.begin(), names.end());
    }
    check_keywords(schema, allowed, path);
    std::vector<std::string> bodies;
    for (const std::string& type : types) bodies.push_back(of_type(type, schema, path, depth));
    return types.empty() ? std::string(Rules::kValue) : joined(bodies);
  }

  static void check_keywords(const OrderedJson& schema, const std::set<std::string>& allowed,
                             const std::string& path) {
    for (auto it = schema.begin(); it != schema.end(); ++it) {
      if (allowed.count(it.key()) > 0 || annotations().count(it.key()) > 0) continue;
      refuse_schema(inside(path, it.key()),
                    "this keyword is not supported here: a reply would not be held to it.");
    }
  }

  /// Those that `type` names or other keywords tell; none: any.
  static std::vector<std::string> types_of(const OrderedJson& schema, const std::string& path) {
    std::vector<std::string> types;
    const auto found = schema.find("type");
    if (found == schema.end()) {
      for (const char* type : {"object", "array", "string", "number"}) {
        const auto& names = keywords().at(type);
        const bool is_named = std::any_of(names.begin(), names.end(), [&](const std::string& name) {
          return schema.contains(name);
        });
        if (is_named) types.emplace_back(type);
      }
      return types;
    }
    const OrderedJson list = found->is_array() ? *found : OrderedJson::array({*found});
    for (const OrderedJson& type : list) {
      if (!type.is_string() || keywords().count(type.get<std::string>()) == 0) {
        refuse_schema(
            inside(path, "type"),
            "expected object, array, string, number, integer, boolean or null, or a list of them.");
      }
      const auto name = type.get<std::string>();
      if (std::count(types.begin(), types.end(), name) == 0) types.push_back(name);
    }
    if (types.empty()) refuse_schema(inside(path, "type"), "expected at least one type.");
    return types;
  }

  std::string of_type(const std::string& type, const OrderedJson& schema, const std::string& path,
                      int64_t depth) {
    if (type == "object") return object(schema, path, depth);
    if (type == "array") return array(schema, path, depth);
    if (type == "string") return string_ebnf(schema, path, rules_);
    if (type == "boolean") return "\"true\" | \"false\"";
    if (type == "null") return "\"null\"";
    return number_ebnf(schema, type == "integer", path);
  }

  /// The rule of what a reference leads to. One that is met again on the way, without a value
  /// around it, would lead nowhere.
  std::string reference(const OrderedJson& schema, const std::string& path, int64_t depth) {
    check_keywords(schema, {"$ref"}, path);
    const Reference target = resolve(root_, schema, path);
    if (is_open_.count(target.text) > 0) {
      refuse_schema(inside(path, "$ref"), "it leads back to itself with no value in between.");
    }
    const auto known = references_.find(target.text);
    if (known != references_.end()) return known->second;
    count(num_references_, 1, SchemaLimits::kReferences, path, "different references");
    const std::string name = rules_.reserve();
    references_.emplace(target.text, name);
    const std::set<std::string> around = is_open_;
    is_open_.insert(target.text);
    rules_.define(name, rule(target.schema, path_of(root_path_, target.text), depth + 1));
    is_open_ = around;
    return name;
  }

  /// Of a schema that stands inside a value: what is being read around it may come again.
  std::string inner_rule(const OrderedJson& schema, const std::string& path, int64_t depth) {
    const std::set<std::string> around = std::exchange(is_open_, {});
    std::string name = rule(schema, path, depth + 1);
    is_open_ = around;
    return name;
  }

  std::string values(const OrderedJson& schema, const char* keyword, const std::string& path) {
    check_keywords(schema, {keyword, "type"}, path);
    const OrderedJson& found = schema.at(keyword);
    const bool is_enum = std::string_view(keyword) == "enum";
    if (is_enum && !found.is_array()) refuse_schema(inside(path, keyword), "expected a list.");
    const OrderedJson list = is_enum ? found : OrderedJson::array({found});
    count(num_options_, std::ssize(list), SchemaLimits::kOptions, inside(path, keyword), "options");
    const std::vector<std::string> types = types_of(schema, path);
    std::vector<std::string> texts;
    for (const OrderedJson& value : list) {
      const bool fits =
          types.empty() || std::any_of(types.begin(), types.end(), [&](const std::string& type) {
            return is_of_type(value, type);
          });
      if (fits) texts.push_back(dump_json(value));
    }
    if (texts.empty()) refuse_schema(inside(path, keyword), "no value here is of the type.");
    for (std::string& text : texts) {
      count(num_value_bytes_, std::ssize(text), SchemaLimits::kValueBytes, inside(path, keyword),
            "bytes of values in enum and const");
      text = ebnf_literal(text);
    }
    return joined(texts);
  }

  std::string options(const OrderedJson& schema, const char* keyword, const std::string& path,
                      int64_t depth) {
    check_keywords(schema, {keyword}, path);
    const OrderedJson& list = schema.at(keyword);
    const std::string place = inside(path, keyword);
    if (!list.is_array() || list.empty()) refuse_schema(place, "expected a list of schemas.");
    count(num_options_, std::ssize(list), SchemaLimits::kOptions, place, "options");
    if (std::string_view(keyword) == "allOf" && list.size() > 1) {
      refuse_schema(place, "only a list of one schema is supported.");
    }
    const bool is_one_of = std::string_view(keyword) == "oneOf";
    if (is_one_of && list.size() > kMostOneOf) {
      refuse_schema(place, fmt::format("expected at most {} options.", kMostOneOf));
    }
    if (is_one_of && !exclude_each_other(root_, list)) {
      refuse_schema(
          place,
          "the options are not seen to exclude each other, by type or by a required property "
          "with other values. Use anyOf.");
    }
    std::vector<std::string> names;
    for (size_t i = 0; i < list.size(); ++i) {
      names.push_back(rule(list[i], inside(path, keyword, i), depth + 1));
    }
    return joined(names);
  }

  std::string object(const OrderedJson& schema, const std::string& path, int64_t depth) {
    const OrderedJson properties = member(schema, "properties", OrderedJson::object());
    if (!properties.is_object()) refuse_schema(inside(path, "properties"), "expected an object.");
    const OrderedJson others = member(schema, "additionalProperties", properties.empty());
    const bool has_others = !(others.is_boolean() && !others.get<bool>());
    const std::set<std::string> required = required_names(schema, path);
    std::vector<Property> members;
    for (auto it = properties.begin(); it != properties.end(); ++it) {
      const std::string place = inside(inside(path, "properties"), it.key());
      members.push_back(
          {it.key(), inner_rule(it.value(), place, depth), required.count(it.key()) > 0});
    }
    std::string other;
    if (has_others) other = inner_rule(others, inside(path, "additionalProperties"), depth);
    for (const std::string& name : required) {
      if (properties.contains(name)) continue;
      if (!has_others) {
        refuse_schema(inside(path, "required"),
                      "\"" + name + "\" is not among the properties, and there may be no others.");
      }
      members.push_back({name, other, true});
    }
    if (std::ssize(members) > SchemaLimits::kObjectProperties) {
      refuse_schema(inside(path, "properties"),
                    fmt::format("expected at most {} properties, found {}.",
                                SchemaLimits::kObjectProperties, members.size()));
    }
    count(num_properties_, std::ssize(members), SchemaLimits::kProperties, path, "properties");
    if (has_others)
      other = other_key(members, inside(path, "additionalProperties")) + " " + kColon + " " + other;
    return "\"{\" space " + members_ebnf(members, other) + "\"}\"";
  }

  struct Property {
    std::string name, value;
    bool is_required;

    std::string ebnf() const {
      return ebnf_literal(dump_json(OrderedJson(name))) + " " + kColon + " " + value;
    }
  };

  static OrderedJson member(const OrderedJson& schema, const char* name,
                            const OrderedJson& fallback) {
    const auto found = schema.find(name);
    return found == schema.end() ? fallback : *found;
  }

  static std::set<std::string> required_names(const OrderedJson& schema, const std::string& path) {
    std::set<std::string> names;
    const OrderedJson list = member(schema, "required", OrderedJson::array());
    const bool is_right =
        list.is_array() && std::all_of(list.begin(), list.end(),
                                       [](const OrderedJson& name) { return name.is_string(); });
    if (!is_right) refuse_schema(inside(path, "required"), "expected a list of names.");
    for (const OrderedJson& name : list) names.insert(name.get<std::string>());
    return names;
  }

  /// All that stands in the braces; `other` is an additional property, empty where there are none.
  /// From the last property to the first: what may follow it. Any up to the first required one may
  /// begin.
  std::string members_ebnf(const std::vector<Property>& members, const std::string& other) {
    std::string rest =
        other.empty() ? "\"\"" : rules_.add(fmt::format("({} {})*", kSeparator, other));
    std::vector<std::string> beginnings;
    if (!other.empty()) beginnings.push_back(other + " " + rest);
    bool may_be_empty = true;
    for (auto it = members.rbegin(); it != members.rend(); ++it) {
      const std::string property = rules_.add(it->ebnf());
      if (it->is_required) {
        beginnings.clear();
        may_be_empty = false;
      }
      beginnings.push_back(property + " " + rest);
      const std::string next = fmt::format("{} {} {}", kSeparator, property, rest);
      rest = rules_.add(it->is_required ? next : rest + " | " + next);
    }
    if (beginnings.empty()) return "";
    std::reverse(beginnings.begin(), beginnings.end());
    const std::string all = "(" + joined(beginnings) + ") space";
    return may_be_empty ? "(" + all + ")? " : all + " ";
  }

  /// A name that none of the properties has: JSON would otherwise say one twice. It follows the
  /// names letter by letter, and has no escapes, in which a name could hide.
  std::string other_key(const std::vector<Property>& members, const std::string& path) {
    if (members.empty()) return Rules::kString;
    const std::string rest = rules_.reserve();
    rules_.define(rest, "\"\\\"\" | " + plain_in_json().ebnf() + " " + rest);
    std::vector<std::string> names;
    for (const Property& member : members) names.push_back(dump_json(OrderedJson(member.name)));
    return "\"\\\"\" " + key_from(names, 1, rest, path);
  }

  /// Behind `at` bytes, which the names (as JSON, with quotes) share.
  std::string key_from(const std::vector<std::string>& names, size_t at, const std::string& rest,
                       const std::string& path) {
    rules_.count_places(GrammarLimits::kPlacesOfWide, path);
    std::map<uint32_t, std::vector<std::string>> by_character;
    bool ends = false;
    size_t length = 1;
    for (const std::string& name : names) {
      ends = ends || at + 1 == name.size();
      if (at + 1 == name.size()) continue;
      const Utf8Char c = decode_utf8(name, at);
      by_character[c.code_point].push_back(name);
    }
    CharSet taken = plain_in_json().complement();
    std::vector<std::string> options;
    if (!ends) options.emplace_back("\"\\\"\"");
    for (const auto& [character, those] : by_character) {
      taken.add(character, character);
      length = decode_utf8(those.front(), at).length;
      // A name with an escape in it cannot be met.
      if (!plain_in_json().contains(character)) continue;
      CharSet one;
      one.add(character, character);
      options.push_back(one.ebnf() + " " + key_from(those, at + length, rest, path));
    }
    options.push_back(taken.complement().ebnf() + " " + rest);
    return rules_.add(joined(options));
  }

  std::string array(const OrderedJson& schema, const std::string& path, int64_t depth) {
    const OrderedJson prefix = member(schema, "prefixItems", OrderedJson::array());
    if (!prefix.is_array())
      refuse_schema(inside(path, "prefixItems"), "expected a list of schemas.");
    const OrderedJson items = member(schema, "items", prefix.empty());
    const bool has_items = !(items.is_boolean() && !items.get<bool>());
    const int64_t num_prefix = std::ssize(prefix);
    const int64_t least = counted(schema, "minItems", path, SchemaLimits::kItems).value_or(0);
    const std::optional<int64_t> most = counted(schema, "maxItems", path, SchemaLimits::kItems);
    if (most && *most < std::max(least, num_prefix)) {
      refuse_schema(inside(path, "maxItems"),
                    "it is below minItems, or the number of prefixItems.");
    }
    if (!has_items && least > num_prefix) {
      refuse_schema(inside(path, "minItems"), "there are no items beyond prefixItems.");
    }
    count(num_items_, most.value_or(least), SchemaLimits::kItems, path,
          "items that minItems and maxItems count");
    count(num_options_, num_prefix, SchemaLimits::kOptions, inside(path, "prefixItems"), "options");
    std::vector<std::string> first;
    for (size_t i = 0; i < prefix.size(); ++i) {
      first.push_back(inner_rule(prefix[i], inside(path, "prefixItems", i), depth));
    }
    std::string text = fmt::format("{}", fmt::join(first, fmt::format(" {} ", kSeparator)));
    if (has_items && (!most || *most > num_prefix)) {
      const std::string item = inner_rule(items, inside(path, "items"), depth);
      text += more_items(item, text.empty(), least - num_prefix,
                         most ? std::optional(*most - num_prefix) : std::nullopt);
    }
    return "\"[\" space " + text + (prefix.empty() ? "" : " space ") + "\"]\"";
  }

  /// From `least` items to `most` of them, which come first or behind others.
  static std::string more_items(const std::string& item, bool come_first, int64_t least,
                                std::optional<int64_t> most) {
    least = std::max<int64_t>(least, 0);
    const int64_t first = come_first ? 1 : 0;
    const std::string end = most ? std::to_string(*most - first) : "";
    const int64_t begin = std::max<int64_t>(least - first, 0);
    const std::string repeated =
        begin == 0 && !most ? fmt::format("({} {})*", kSeparator, item)
                            : fmt::format("({} {}){{{},{}}}", kSeparator, item, begin, end);
    const std::string tail = most && *most == first ? "" : repeated;
    if (!come_first) return " " + tail;
    const std::string all = fmt::format("{} {} space", item, tail);
    return least > 0 ? all + " " : "(" + all + ")? ";
  }

  const OrderedJson& root_;
  const std::string& root_path_;
  EbnfRules& rules_;
  std::map<std::string, std::string> references_;  // to rules
  std::set<std::string> is_open_;                  // references that are being followed
  int64_t num_references_ = 0, num_properties_ = 0, num_options_ = 0, num_value_bytes_ = 0,
          num_items_ = 0;
};

}  // namespace

std::string add_schema(const OrderedJson& schema, const std::string& path, EbnfRules& rules) {
  return SchemaRules(schema, path, rules).add();
}

}  // namespace longgen
