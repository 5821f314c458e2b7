// serve/openai/field_table.h: the fields of an object of the API, each listed once.
#pragma once

#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "longgen/base/nearest_name.h"
#include "longgen/serve/openai/rule.h"
#include "longgen/serve/openai/shown.h"

namespace longgen::openai {

/// Returns the schema of a field that may also be null, with its sentence.
OrderedJson field_schema(const OrderedJson& rule, const std::string& sentence, bool may_be_null);

/// The fields of one kind of object: how each is read into a member of `Object`, and how it is
/// described. null counts as absent, because OpenAI's clients send it, but not where a field is
/// required. A field's default is what its member holds in a new Object.
template <typename Object>
class FieldTable {
 public:
  struct Field {
    std::string name;
    OrderedJson schema;  ///< null: the field is refused
    std::function<void(const Input&, Object&)> read;
    bool required = false;
  };
  /// A field that is read in a way of its own; the others are short for this.
  FieldTable& add(Field field) {
    fields_.push_back(std::move(field));
    return *this;
  }

  /// A field of which `member` is set where it is given.
  template <typename Member, typename T, typename Owner>
  FieldTable& optional(const std::string& name, Member Owner::*member, Rule<T> rule,
                       const std::string& sentence) {
    OrderedJson schema = field_schema(rule.schema, sentence, true);
    if constexpr (std::is_arithmetic_v<Member>) schema["default"] = Object{}.*member;
    return add({name, std::move(schema), set(member, std::move(rule))});
  }

  template <typename Member, typename T, typename Owner>
  FieldTable& required(const std::string& name, Member Owner::*member, Rule<T> rule,
                       const std::string& sentence) {
    OrderedJson schema = field_schema(rule.schema, sentence, false);
    return add({name, std::move(schema), set(member, std::move(rule)), true});
  }

  /// A field of OpenAI's that says nothing about the answer; it must be right and is not kept.
  template <typename T>
  FieldTable& ignored(const std::string& name, Rule<T> rule, const std::string& sentence) {
    OrderedJson schema = field_schema(rule.schema, sentence, true);
    return add({name, std::move(schema),
                [read = std::move(rule.read)](const Input& input, Object&) { read(input); }});
  }

  /// A field of which longgen does one value, the one that clients send when they mean nothing.
  FieldTable& fixed(const std::string& name, const OrderedJson& only, const std::string& sentence) {
    const auto read = [only](const Input& input, Object&) {
      if (input.json() != only)
        input.refuse(dump_json(only) + ", the only value that is supported");
    };
    return add({name, field_schema({{"const", only}}, sentence, true), read});
  }

  /// A field that is known and not supported: `instead` says what to do, or what is done.
  FieldTable& refused(const std::string& name, const std::string& instead) {
    const auto read = [instead](const Input& input, Object&) {
      refuse_at(input.path(), "this field is not supported. " + instead, "unsupported_parameter");
    };
    return add({name, nullptr, read});
  }

  /// Takes over the fields of what Object is derived from.
  template <typename Base>
  FieldTable& with(const FieldTable<Base>& base) {
    for (const auto& field : base.fields()) {
      add({field.name, field.schema, field.read, field.required});
    }
    return *this;
  }

  /// Reads an object. Throws ApiError naming the field on one that is unknown, wrong or missing.
  Object read(const Input& input) const {
    if (!input.json().is_object()) input.refuse("an object");
    Object object{};
    for (auto it = input.json().begin(); it != input.json().end(); ++it) {
      const Input value = input.field(it.key(), it.value());
      const Field& field = known(value, it.key());
      if (field.required || !it.value().is_null()) field.read(value, object);
    }
    for (const Field& field : fields_) {
      if (!field.required || input.json().contains(field.name)) continue;
      refuse_at(input.path_of(field.name), "this field is required, and it is missing.",
                "missing_required_parameter");
    }
    return object;
  }

  /// Makes the JSON Schema of the object; fields that are refused are not in it.
  OrderedJson schema() const {
    OrderedJson properties = OrderedJson::object(), required = OrderedJson::array();
    for (const Field& field : fields_) {
      if (!field.schema.is_null()) properties[field.name] = field.schema;
      if (field.required) required.push_back(field.name);
    }
    OrderedJson schema = {{"type", "object"}, {"additionalProperties", false}};
    if (!required.empty()) schema["required"] = std::move(required);
    schema["properties"] = std::move(properties);
    return schema;
  }

  /// Makes the rule of a value that is such an object.
  Rule<Object> rule() const {
    return {schema(), [table = *this](const Input& input) { return table.read(input); }};
  }

  const std::vector<Field>& fields() const { return fields_; }

 private:
  template <typename Member, typename T, typename Owner>
  static auto set(Member Owner::*member, Rule<T> rule) {
    return [member, read = std::move(rule.read)](const Input& input, Object& object) {
      object.*member = read(input);
    };
  }

  const Field& known(const Input& input, const std::string& name) const {
    for (const Field& field : fields_) {
      if (field.name == name) return field;
    }
    std::vector<std::string> names;
    for (const Field& field : fields_) {
      if (!field.schema.is_null()) names.push_back(field.name);
    }
    refuse_at(input.path(), "unknown field." + did_you_mean(shortened(name), names),
              "unknown_parameter");
  }

  std::vector<Field> fields_;
};

}  // namespace longgen::openai
