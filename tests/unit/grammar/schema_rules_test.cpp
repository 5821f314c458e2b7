// What replies a schema allows.
#include "longgen/grammar/schema_rules.h"

#include <gtest/gtest.h>

#include "grammar_tools.h"
#include "longgen/grammar/schema_error.h"

namespace longgen {
namespace {

using grammar_test::takes;

struct Case {
  const char* schema;
  std::vector<const char*> taken;
  std::vector<const char*> refused;
};

void check(const Case& each) {
  for (const char* text : each.taken)
    EXPECT_TRUE(takes(each.schema, text)) << each.schema << " takes " << text;
  for (const char* text : each.refused)
    EXPECT_FALSE(takes(each.schema, text)) << each.schema << " refuses " << text;
}

TEST(SchemaRulesTest, AnyObject) {
  check({R"({"type": "object"})",
         {"{}", R"({"a": [1, -2.5e+3, {"b": null}], "ü": "\"\u00e9\n"})", "{\n  \"a\":\ttrue\n}",
          "{ }"},
         {"", "[]", "{\"a\"}", "{\"a\": 01}", "{\"a\": +1}", "{} ", " {}", "{\"a\": \"\n\"}", "{,}",
          "{\"a\": 1,}"}});
  check({"true", {"1", "\"a\"", "null", "[]", "{}"}, {"nul", "a"}});
  check({"{}", {"[1, [], {}]"}, {"[1,]"}});
}

TEST(SchemaRulesTest, PropertiesComeInOrderAndOnlyThese) {
  const char* const schema =
      R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}, "c": {"type": "null"}},
          "required": ["b"]})";
  check({schema,
         {R"({"b": true})", R"({"a": 1, "b": false})", R"({"a":-10,"b":true,"c":null})",
          R"({ "b":true , "c":null })"},
         {"{}", R"({"a": 1})", R"({"b": true, "a": 1})", R"({"b": true, "d": 1})",
          R"({"b": true, "b": true})", R"({"a": 1.5, "b": true})", R"({"a": 1 "b": true})"}});
  check({R"({"properties": {"a": {}, "b": {}}})",
         {"{}", R"({"a":1})", R"({"b":1})", R"({"a":1,"b":2})"},
         {"[]", R"({,"a":1})"}});
  check({R"({"properties": {"a\"\\b": {"const": 1}}, "required": ["a\"\\b"]})",
         {R"({"a\"\\b": 1})"},
         {R"({"a": 1})"}});
  check({R"({"type": "object", "properties": {}, "additionalProperties": false})",
         {"{}", "{ }"},
         {R"({"a":1})"}});
}

TEST(SchemaRulesTest, OtherProperties) {
  const char* const schema = R"({"properties": {"name": {"type": "string"}, "no": {"type": "null"}},
                                 "required": ["name"], "additionalProperties": {"type": "integer"}})";
  check({schema,
         {R"({"name": "x"})", R"({"name": "x", "age": 3})",
          R"({"name": "x", "no": null, "n": 1, "nam": 2, "names": 3})"},
         {R"({"age": 3, "name": "x"})", R"({"name": "x", "name": 3})", R"({"name": "x", "no": 3})",
          R"({"name": "x", "age": "3"})", R"({"name": "x", "\u006eame": 3})"}});
  check({R"({"properties": {"né": {}}, "additionalProperties": {"type": "integer"}})",
         {R"({"né": "x", "nè": 1})", R"({"n": 1})"},
         {R"({"né": 1, "né": 2})", R"({"nè": "x"})"}});
  check({R"({"type": "object", "additionalProperties": {"type": "boolean"}})",
         {"{}", R"({"a": true, "b\n": false})"},
         {R"({"a": 1})"}});
  check({R"({"type": "object", "required": ["x"]})", {R"({"x": 1})"}, {"{}"}});
}

TEST(SchemaRulesTest, Arrays) {
  check({R"({"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3})",
         {"[1]", "[1, 2,3]", "[ 1 ]"},
         {"[]", "[1,2,3,4]", "[1,]", "[true]"}});
  check({R"({"type": "array", "items": {"type": "integer"}, "maxItems": 1})",
         {"[]", "[1]"},
         {"[1,2]"}});
  check({R"({"type": "array", "items": {"type": "integer"}, "maxItems": 0})",
         {"[]", "[ ]"},
         {"[1]"}});
  check({R"({"type": "array", "minItems": 2})", {"[1,2]", "[1,2,3,4]"}, {"[1]"}});
  check({R"({"prefixItems": [{"const": "a"}, {"type": "null"}]})",
         {R"(["a", null])"},
         {R"(["a"])", R"(["a", null, 1])", "[]"}});
  check({R"({"prefixItems": [{"const": "a"}], "items": {"type": "integer"}, "maxItems": 2})",
         {R"(["a"])", R"(["a", 1])"},
         {R"(["a", 1, 2])", R"(["a", "b"])"}});
  check({R"({"prefixItems": [{"const": 1}], "items": {"type": "integer"}, "minItems": 2})",
         {"[1, 2]", "[1, 2, 3]"},
         {"[1]"}});
  check({R"({"prefixItems": [{"const": 1}], "items": false})", {"[1]"}, {"[]", "[1, 2]"}});
}

TEST(SchemaRulesTest, Strings) {
  check({R"({"type": "string"})", {R"("")", R"("a\u0041ü\\")"}, {"\"", R"("\x")", R"("\u00g0")"}});
  check({R"({"type": "string", "minLength": 2, "maxLength": 3})",
         {R"("ab")", R"("üßx")", R"("\n\"")"},
         {R"("a")", R"("abcd")", R"("\u0041b")"}});
  check({R"({"type": "string", "minLength": 1})", {R"("a")", R"("abcdefgh\u0041")"}, {R"("")"}});
  check({R"({"type": "string", "maxLength": 0})", {R"("")"}, {R"("a")"}});
  check({R"({"type": "string", "format": "date"})",
         {R"("2026-11-30")"},
         {R"("2026-13-01")", R"("26-11-30")"}});
  check({R"({"type": "string", "format": "date-time"})",
         {R"("2026-11-30T10:20:30Z")", R"("2026-11-30T10:20:30.5+01:00")"},
         {R"("2026-11-30 10:20:30Z")"}});
  check({R"({"type": "string", "format": "uuid"})",
         {R"("01234567-89ab-cdef-0123-456789abcdef")"},
         {R"("01234567")"}});
  check({R"({"type": "string", "format": "ipv4"})",
         {R"("192.168.0.255")"},
         {R"("256.1.1.1")", R"("01.1.1.1")"}});
  check({R"({"type": "string", "format": "email"})",
         {R"("a.b@c-d.example")"},
         {R"("a@b")", R"("@b.example")"}});
}

TEST(SchemaRulesTest, Patterns) {
  check({R"({"pattern": "^[A-Z]{2,3}-\\d+$"})",
         {R"("AB-1")", R"("ABC-123")"},
         {R"("A-1")", R"("ABCD-1")", R"("AB-")", R"("AB-1x")"}});
  check({R"({"pattern": "b"})", {R"("b")", R"("abc")"}, {R"("a")"}});
  check({R"({"pattern": "^(?:a|bc)?d$"})", {R"("d")", R"("ad")", R"("bcd")"}, {R"("abcd")"}});
  check({R"({"pattern": "^a|b$"})", {R"("ax")", R"("xb")"}, {R"("xa")"}});
  check({R"({"pattern": "^[^a-c\"]*$"})", {R"("")", R"("xyz")"}, {R"("xa")", R"("\"")"}});
  check({R"({"pattern": "^[\"\\\\\\n]\\.$"})",
         {R"("\".")", R"("\\.")", R"("\n.")"},
         {R"("a.")", R"("\"x")"}});
  check({R"({"pattern": "^.{2}\\u00e9\\x41$"})", {R"("..éA")"}, {R"(".éA")"}});
  check({R"({"pattern": "^[^\u00e9]+.$"})", {R"("eèa")"}, {R"("eéa")", "\"a\u2028\""}});
  check({R"({"pattern": "^\\w+\\s\\S$"})", {R"("a_9 x")"}, {R"("- x")", R"("a  ")"}});
  check({R"({"pattern": "^a+?b??$"})", {R"("aab")", R"("a")"}, {R"("b")"}});
}

TEST(SchemaRulesTest, Numbers) {
  check({R"({"type": "integer"})", {"0", "-1", "120"}, {"-0", "1.0", "01", "1e3"}});
  check({R"({"type": "integer", "minimum": -12, "maximum": 105})",
         {"-12", "-1", "0", "99", "100", "105"},
         {"-13", "106", "200", "-0", "1000"}});
  check({R"({"type": "integer", "exclusiveMinimum": 9, "exclusiveMaximum": 12})",
         {"10", "11"},
         {"9", "12"}});
  check(
      {R"({"type": "integer", "minimum": 98})", {"98", "99", "100", "12345"}, {"97", "9", "-98"}});
  check({R"({"type": "integer", "maximum": -5})", {"-5", "-6", "-10", "-1234"}, {"-4", "0", "5"}});
  check({R"({"type": "number", "minimum": 0, "maximum": 1})",
         {"0", "1", "0.25", "1.0", "0.0"},
         {"1.01", "-0.1", "2", "1."}});
  check({R"({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1})",
         {"0.1", "0.001", "0.999"},
         {"0", "1", "0.0", "1.0"}});
  check({R"({"type": "number", "minimum": -1.5, "maximum": 2.25})",
         {"-1.5", "-1.49", "-1", "-0.3", "0", "2.25", "2.249", "2.2500"},
         {"-1.51", "-1.9", "-2", "2.251", "2.3", "3"}});
  check({R"({"type": "number", "exclusiveMaximum": 2.25})",
         {"2.24", "2.2", "-7.5", "2"},
         {"2.25", "2.250", "2.26"}});
  check({R"({"type": "number", "minimum": 10.05})",
         {"10.05", "10.1", "11", "10.050", "123.4"},
         {"10", "10.0", "10.04", "9.9"}});
  check({R"({"type": "number", "minimum": 0.5, "maximum": 0.5})",
         {"0.5", "0.50"},
         {"0.51", "0.4", "0"}});
}

TEST(SchemaRulesTest, ValuesAndOptions) {
  check({R"({"enum": ["a", 1, null, {"b": [true]}, "ü\n"]})",
         {R"("a")", "1", "null", R"({"b":[true]})", R"("ü\n")"},
         {"2", "\"b\""}});
  check({R"({"type": "string", "enum": ["a", 1]})", {R"("a")"}, {"1"}});
  check({R"({"const": {"x": 1}})", {R"({"x":1})"}, {R"({"x":2})"}});
  check({R"({"type": ["integer", "null"], "minimum": 5})", {"5", "null"}, {"4"}});
  check({R"({"anyOf": [{"type": "integer"}, {"type": "string"}]})", {"1", R"("a")"}, {"null"}});
  check({R"({"oneOf": [{"type": "integer"}, {"type": "string"}]})", {"1"}, {"null"}});
  check({R"({"oneOf": [{"type": "object", "properties": {"k": {"const": "a"}}, "required": ["k"]},
                       {"type": "object", "properties": {"k": {"enum": ["b"]}}, "required": ["k"]}]})",
         {R"({"k": "a"})", R"({"k": "b"})"},
         {R"({"k": "c"})"}});
  check({R"({"allOf": [{"type": "null"}]})", {"null"}, {"1"}});
}

TEST(SchemaRulesTest, References) {
  check({R"({"$ref": "#/$defs/node", "$defs": {"node": {"type": "object", "required": ["v"],
            "properties": {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}}}}})",
         {R"({"v": 1})", R"({"v": 1, "next": {"v": 2, "next": null}})"},
         {R"({"v": 1, "next": {}})"}});
  check({R"({"type": "array", "items": {"$ref": "#"}})", {"[]", "[[], [[]]]"}, {"[1]"}});
}

struct Refusal {
  const char* schema;
  const char* path;
  const char* words;
};

TEST(SchemaRulesTest, WhatItWouldNotHoldARepliesToIsRefusedWithItsPlace) {
  const Refusal all[] = {
      {"1", "", "expected a schema"},
      {"false", "", "allows no value"},
      {R"({"type": "object", "properties": {"a": {"type": "string", "minlength": 1}}})",
       "properties.a.minlength", "not supported here"},
      {R"({"not": {}})", "not", "not supported here"},
      {R"({"type": "string", "minimum": 1})", "minimum", "not supported here"},
      {R"({"type": "array", "items": {"uniqueItems": true}})", "items.uniqueItems",
       "not supported here"},
      {R"({"type": "object", "patternProperties": {"a": {}}})", "patternProperties",
       "not supported here"},
      {R"({"type": "int"})", "type", "expected object, array"},
      {R"({"type": []})", "type", "at least one type"},
      {R"({"anyOf": [], "title": "a"})", "anyOf", "a list of schemas"},
      {R"({"anyOf": [{}, {"type": "x"}]})", "anyOf[1].type", "expected object"},
      {R"({"allOf": [{}, {}]})", "allOf", "one schema"},
      {R"({"oneOf": [{"type": "integer"}, {"type": "number"}]})", "oneOf", "exclude each other"},
      {R"({"oneOf": [{"const": 1}, {"const": 1.0}]})", "oneOf", "exclude each other"},
      {R"({"$ref": "#/$defs/a"})", "$ref", "nothing stands"},
      {R"({"$ref": "other.json"})", "$ref", "within the schema"},
      {R"({"$ref": "#/a~2"})", "$ref", "nothing stands"},
      {R"({"$ref": "#"})", "", "refers to itself"},
      {R"({"anyOf": [{"$ref": "#"}, {"type": "null"}]})", "anyOf[0].$ref", "leads back to itself"},
      {R"({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})", "",
       "refers to itself"},
      {R"({"type": "array", "items": {"$ref": "#"}, "minItems": 1})", "", "refers to itself"},
      {R"({"type": "string", "pattern": "a", "maxLength": 3})", "pattern", "only one kind"},
      {R"({"type": "string", "format": "uri"})", "format", "expected date"},
      {R"({"type": "string", "minLength": 3, "maxLength": 2})", "maxLength", "below minLength"},
      {R"({"type": "string", "maxLength": 100})", "maxLength", "an integer from 0 to 32"},
      {R"({"type": "string", "maxLength": -1})", "maxLength", "an integer from 0 to 32"},
      {R"({"type": "array", "minItems": 1000000000})", "minItems", "an integer from 0 to 1000"},
      {R"({"type": "array", "minItems": 2.5})", "minItems", "an integer from 0 to 1000"},
      {R"({"type": "array", "minItems": 2, "maxItems": 1})", "maxItems", "below minItems"},
      {R"({"type": "integer", "minimum": 2, "maximum": 1})", "", "no number"},
      {R"({"type": "integer", "minimum": 0.5})", "minimum", "an integer"},
      {R"({"type": "number", "minimum": 1e300})", "minimum", "without exponent"},
      {R"({"type": "number", "minimum": 1, "exclusiveMinimum": 1})", "exclusiveMinimum",
       "one lower"},
      {R"({"type": "object", "required": ["a"], "additionalProperties": false})", "required",
       "is not among"},
      {R"({"type": "object", "required": [1]})", "required", "a list of names"},
      {R"({"type": "boolean", "enum": [1]})", "enum", "no value here"},
      {R"({"pattern": "("})", "pattern", "the end of a group"},
      {R"_({"pattern": ")"})_", "pattern", "no group that ends here"},
      {R"_({"pattern": "(?=a)"})_", "pattern", "are not supported"},
      {R"({"pattern": "(a)\\1"})", "pattern", "this escape"},
      {R"({"pattern": "\\bword"})", "pattern", "this escape"},
      {R"({"pattern": "a^b"})", "pattern", "at the beginning"},
      {R"({"pattern": "a$b"})", "pattern", "nothing can follow"},
      {R"({"pattern": "(a*)*"})", "pattern", "may be empty"},
      {R"({"pattern": "a**"})", "pattern", "nothing is repeated"},
      {R"({"pattern": "{2}"})", "pattern", "nothing is repeated"},
      {R"({"pattern": "[b-a]"})", "pattern", "ends before it begins"},
      {R"({"pattern": "a{2,1}"})", "pattern", "above the second"},
      {R"({"pattern": "a{0,100000}"})", "pattern", "at most 128 times"},
      {R"({"pattern": "(\\w{30}){30}"})", "pattern", "goes beyond"},
      {R"({"pattern": "\\ud800"})", "pattern", "half of one"},
  };
  for (const Refusal& each : all) {
    try {
      grammar_test::ebnf_of(each.schema);
      ADD_FAILURE() << each.schema << " is not refused";
    } catch (const SchemaError& error) {
      EXPECT_EQ(error.path(), each.path) << each.schema;
      EXPECT_NE(std::string(error.what()).find(each.words), std::string::npos)
          << each.schema << ": " << error.what();
    }
  }
}

}  // namespace
}  // namespace longgen
