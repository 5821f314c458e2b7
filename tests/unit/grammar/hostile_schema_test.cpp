// Schemas that are made to cost time, memory or the stack: refused, or done with soon.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "grammar_tools.h"
#include "longgen/base/error.h"

namespace longgen {
namespace {

using grammar_test::ebnf_of;

std::string repeated(const std::string& text, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) all += text;
  return all;
}

std::string pattern(const std::string& text) { return dump_json(OrderedJson{{"pattern", text}}); }

TEST(HostileSchemaTest, IsRefused) {
  EXPECT_THROW(ebnf_of(pattern(repeated("(", 60000))), Error);
  EXPECT_THROW(ebnf_of(pattern(repeated("(", 500) + repeated(")", 500))), Error);
  EXPECT_THROW(ebnf_of(pattern(repeated("(a|", 300) + "b" + repeated(")", 300))), Error);
  EXPECT_THROW(ebnf_of(pattern("((a{9}){9}){9}")), Error);
  EXPECT_THROW(ebnf_of(pattern("[^a]{33}")), Error);
  EXPECT_THROW(ebnf_of(R"({"type": "array", "minItems": 1000000000})"), Error);
  OrderedJson list = OrderedJson::array();
  for (int i = 0; i < 100000; ++i) list.push_back(i);
  EXPECT_THROW(ebnf_of(dump_json(OrderedJson{{"enum", list}})), Error);
  OrderedJson properties = OrderedJson::object();
  for (int i = 0; i < 1000; ++i) properties[fmt::format("property_{}", i)] = OrderedJson::object();
  EXPECT_THROW(ebnf_of(dump_json(OrderedJson{{"properties", properties}})), Error);
  OrderedJson definitions = OrderedJson::object();  // a chain of references
  for (int i = 0; i < 1000; ++i) {
    definitions[std::to_string(i)] = {{"type", "array"},
                                      {"items", {{"$ref", fmt::format("#/$defs/{}", i + 1)}}}};
  }
  definitions["1000"] = {{"type", "null"}};
  EXPECT_THROW(ebnf_of(dump_json(OrderedJson{{"$ref", "#/$defs/0"}, {"$defs", definitions}})),
               Error);
}

/// As large as the limits let them be: they compile, and the first masks come.
TEST(HostileSchemaTest, IsDoneWithSoon) {
  OrderedJson properties = OrderedJson::object();
  for (int i = 0; i < 100; ++i)
    properties[fmt::format("p{}", i)] = {{"type", "array"}, {"maxItems", 10}};
  OrderedJson list = OrderedJson::array();
  for (int i = 0; i < 900; ++i) list.push_back(repeated("same", 3) + std::to_string(i));
  const std::string schemas[] = {
      dump_json(OrderedJson{{"properties", properties}}),
      dump_json(OrderedJson{{"enum", list}}),
      pattern("^(a|aa|aaa)+$"),
      pattern("^(a?b?c?d?e?f?g?h?x)+$"),
      pattern(".*.*.*.*x"),
      pattern("^(((((((((a+)+)+)+)+)+)+)+)+)+$"),
      R"({"type": "string", "maxLength": 32})",
      R"({"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "object", "additionalProperties": {"$ref": "#"}}]})",
  };
  for (const std::string& schema : schemas) {
    GrammarMatcher matcher = grammar_test::matcher_of(schema);
    for (int step = 0; step < 100; ++step) {
      int32_t token = 0;  // the lowest that is allowed
      while (token < 256 && !grammar_test::is_allowed(matcher, token)) ++token;
      if (token == 256) break;
      matcher.accept(token);
    }
  }
}

}  // namespace
}  // namespace longgen
