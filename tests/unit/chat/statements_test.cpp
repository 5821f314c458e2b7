// Statements, scopes and white space.
#include <gtest/gtest.h>

#include "tests/unit/chat/render.h"

namespace longgen {
namespace {

TEST(JinjaStatements, TagsTakeTheSpaceAroundThemAlong) {
  EXPECT_EQ(render("a\n"), "a") << "one line break at the end";
  EXPECT_EQ(render("a\n\n"), "a\n");
  EXPECT_EQ(render("a\r\nb\rc\r\n"), "a\nb\nc");
  EXPECT_EQ(render("a\n  {% if true %}\nb\n  {% endif %}\nc"), "a\nb\nc") << "trim and lstrip";
  EXPECT_EQ(render("a\n  {%+ if true %}\nb{% endif +%}\nc"), "a\n  b\nc");
  EXPECT_EQ(render("a \n {%- if true -%} \n b \n {%- endif %} c"), "ab c");
  EXPECT_EQ(render("a  {{- 'b' -}}  c"), "abc");
  EXPECT_EQ(render("a\n  {{ 'b' }}\nc"), "a\n  b\nc") << "nothing is trimmed around values";
  EXPECT_EQ(render("a\n  {# no #}\nb{#- no -#} c"), "a\nbc");
  EXPECT_EQ(render("x {% if true %}y{% endif %}"), "x y") << "text before the tag on its line";
  EXPECT_EQ(render("{% raw %}{{ a }}{% if %}{% endraw %}!"), "{{ a }}{% if %}!");
  EXPECT_EQ(render("{%- raw -%}\n {{ a }} {%- endraw -%}\n !"), "{{ a }}!");
  EXPECT_EQ(render("{ {x} %} }}"), "{ {x} %} }}");
}

TEST(JinjaStatements, For) {
  EXPECT_EQ(render("{% for x in l %}{{ x }},{% endfor %}", R"({"l":[1,2,3]})"), "1,2,3,");
  EXPECT_EQ(
      render("{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}", R"({"d":{"b":1,"a":2}})"),
      "b=1;a=2;");
  EXPECT_EQ(
      render("{% for x in l if x > 1 %}{{ loop.index }}:{{ x }}/{{ loop.length }} {% endfor %}",
             R"({"l":[1,2,3]})"),
      "1:2/2 2:3/2 ");
  EXPECT_EQ(render("{% for x in [] %}a{% else %}none{% endfor %}"), "none");
  EXPECT_EQ(render("{% for x in [1,2,3] %}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}"
                   "{{ loop.first }}{{ loop.last }} {% endfor %}"),
            "032TrueFalse 121FalseFalse 210FalseTrue ");
  EXPECT_EQ(
      render("{% for x in 'abc' %}[{{ loop.previtem }}{{ x }}{{ loop.nextitem }}]{% endfor %}"),
      "[ab][abc][bc]");
  EXPECT_EQ(render("{% for x in range(5) %}{{ loop.cycle('a','b') }}{% endfor %}"), "ababa");
  EXPECT_EQ(render("{% for x in range(9) %}{% if x == 1 %}{% continue %}{% endif %}"
                   "{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %}"),
            "023");
  EXPECT_EQ(render("{% for x in [[1,[2,3]]] %}{% for a, (b, c) in [x] %}{{ a }}{{ b }}{{ c }}"
                   "{% endfor %}{% endfor %}"),
            "123");
  EXPECT_EQ(render("{% for x in missing %}a{% endfor %}."), ".");
  EXPECT_EQ(render("{% for a, b in [[1,2],[3,4]] if a %}{{ loop.previtem }}{% endfor %}"), "(1, 2)")
      << "a condition sees what was unpacked";
}

TEST(JinjaStatements, SetStaysInItsScope) {
  EXPECT_EQ(
      render("{% set x = 1 %}{% for i in [1,2] %}{{ x }}{% set x = 9 %}{{ x }}{% endfor %}{{ x }}"),
      "19191");
  EXPECT_EQ(render("{% if true %}{% set x = 1 %}{% endif %}{{ x }}"), "1");
  EXPECT_EQ(render("{% set ns = namespace(a=0, b='x') %}{% for i in range(3) %}"
                   "{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}"),
            "3x");
  EXPECT_EQ(render("{% set a, b = 1, 2 %}{{ b }}{{ a }}"), "21");
  EXPECT_EQ(render("{% set x %}a{{ 1 }}{% endset %}{{ x }}{{ x|length }}"), "a12");
  EXPECT_EQ(render("{% set x | upper | trim %} ab {% endset %}[{{ x }}]"), "[AB]");
  EXPECT_EQ(render("{% set messages = messages[1:] %}{{ messages }}", R"({"messages":[1,2]})"),
            "[2]");
  EXPECT_EQ(render("{% with a = 1, b = 2 %}{{ a + b }}{% endwith %}{{ a is defined }}"), "3False");
  EXPECT_EQ(render("{% filter upper %}a{{ 'b' }}{% endfilter %}"), "AB");
  EXPECT_EQ(render("a{% generation %}{{ 'b' }}{% endgeneration %}c"), "abc");
}

TEST(JinjaStatements, Macros) {
  EXPECT_EQ(render("{% macro m(a, b='B', c=a) %}{{ a }}{{ b }}{{ c }}{% endmacro %}"
                   "{{ m(1) }} {{ m(1, 2, 3) }} {{ m(a=4, c=5) }} {{ m() }}"),
            "1B1 123 4B5 B");
  EXPECT_EQ(render("{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, x=2) }}"),
            "(1,){'x': 2}");
  EXPECT_EQ(render("{% macro m(a) %}<{{ caller(a) }}>{% endmacro %}"
                   "{% call(x) m(7) %}[{{ x }}]{% endcall %}"),
            "<[7]>");
  EXPECT_EQ(
      render(
          "{% macro f(n) %}{% if n > 0 %}{{ n }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(3) }}"),
      "321");
  EXPECT_EQ(render("{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}"),
            "t.jinja:1: macro 'm' takes not more than 1 argument(s)");
  EXPECT_EQ(render("{% macro m(a) %}{% endmacro %}{{ m(b=2) }}"),
            "t.jinja:1: macro 'm' takes no keyword argument 'b'");
}

TEST(JinjaStatements, WhatIsNoTemplateNamesLineAndReason) {
  const std::pair<const char*, const char*> cases[] = {
      {"\n\n{% if x %}", "t.jinja:3: expected {% endif %}, found the end of the template"},
      {"{% endfor %}", "t.jinja:1: there is no statement \"endfor\" here"},
      {"{{ 1 +", "t.jinja:1: a tag has no end }}"},
      {"a\n{% if (1] %}", "t.jinja:2: unexpected ']', expected ')'"},
      {"{# x", "t.jinja:1: a comment {# has no end #}"},
      {"{{ 'a }}", "t.jinja:1: a string has no end '"},
      {"{{ 1 2 }}", "t.jinja:1: expected }}, found a number"},
      {"{{ }}", "t.jinja:1: expected an expression, found }}"},
      {"{{ a ? b }}", "t.jinja:1: unexpected character '?'"},
      {"{% break %}", "t.jinja:1: {% break %} stands outside of a loop"},
      {"{% raw %}", "t.jinja:1: {% raw %} has no {% endraw %}"},
      {"{% set 1 = 2 %}", "t.jinja:1: expected a name to assign to"},
      {"{{ 99999999999999999999 }}",
       "t.jinja:1: the number 99999999999999999999 is no integer of 64 bits"},
      {"{{ '\\N{DASH}' }}", "t.jinja:1: characters by name (\\N{...}) are not supported"},
      {"{% include 'a' %}", "t.jinja:1: the statement \"include\" is not supported"},
      {"{% import 'a' as b %}", "t.jinja:1: the statement \"import\" is not supported"},
      {"{% extends 'a' %}", "t.jinja:1: the statement \"extends\" is not supported"},
      {"{% block a %}{% endblock %}", "t.jinja:1: the statement \"block\" is not supported"},
      {"{% for x in l recursive %}{% endfor %}", "t.jinja:1: recursive loops are not supported"},
      {"\xFF", "t.jinja: expected UTF-8."},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(render(text), expected) << text;
}

}  // namespace
}  // namespace longgen
