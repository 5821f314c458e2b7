// Filters and tests.
#include <gtest/gtest.h>

#include "tests/unit/chat/expect.h"

namespace longgen {
namespace {

TEST(JinjaFilters, OfText) {
  expect({{"' a '|trim ~ '|'", "a|"},
          {"'xxaxx'|trim('x')", "a"},
          {"'straße ﬁ'|upper", "STRASSE FI"},
          {"'ΟΔΟΣ'|lower", "οδος"},
          {"'hello wORLD'|capitalize", "Hello world"},
          {"'a-b (c'|title", "A-B (C"},
          {"'aXbX'|replace('X', '-', 1)", "a-bX"},
          {"5|replace(5, 6)", "6"},
          {"'a\\nb\\n\\nc'|indent(2)", "a\n  b\n\n  c"},
          {"'a\\nb'|indent('> ', true)", "> a\n> b"},
          {"'foo bar baz qux'|truncate(9)", "foo..."},
          {"'foo bar baz qux'|truncate(11)", "foo bar baz qux"},
          {"'foo bar baz qux'|truncate(9, true)", "foo ba..."},
          {"'ab'|center(5) ~ '|'", "  ab |"},
          {"'%s and %s'|format('a', 2)", "a and 2"},
          {"'a b, c'|wordcount", "3"},
          {"'<a&\"'|e", "&lt;a&amp;&#34;"},
          {"'<a>'|safe", "<a>"},
          {"'<'|e|e", "&lt;"},
          {"'<'|e|forceescape", "&amp;lt;"},
          {"['ab'|e|upper, ('ab'|safe)[1:], 'ab'|e|title, ('ab'|e).strip('a')]",
           "[Markup('AB'), Markup('b'), 'Ab', Markup('b')]"},
          {"('a'|e).split()",
           "t.jinja:1: the method split() after the filters escape and safe is not supported"},
          {"'a'|e|truncate(3)",
           "t.jinja:1: the filter truncate after the filters escape and safe is not supported"},
          {"[1]|truncate(9)", "[1]"},
          {"('<'|e) ~ '<'", "&lt;<"},
          {"('<'|e) + '<'",
           "t.jinja:1: the operator + after the filters escape and safe is not supported"},
          {"1|string ~ 2", "12"},
          {"'abc'|reverse", "cba"},
          {"'x'|indent('y', 1, 2, 3)", "t.jinja:1: indent takes at most 3 arguments, found 4"},
          {"'x'|replace('y')", "t.jinja:1: replace needs the argument new"},
          {"'x'|trim(y=1)", "t.jinja:1: trim takes no argument y"},
          {"'x'|urlencode", "t.jinja:1: the filter \"urlencode\" is not supported"}});
}

TEST(JinjaFilters, OfNumbers) {
  expect({{"-3|abs", "3"},
          {"(-3)|abs", "3"},
          {"'42.9'|int", "42"},
          {"' 4_2 '|int", "42"},
          {"'x'|int(7)", "7"},
          {"'0x1f'|int(base=16)", "31"},
          {"'1e3'|float", "1000.0"},
          {"'x'|float", "0.0"},
          {"2.5|round", "2.0"},
          {"42.55|round(1, 'floor')", "42.5"},
          {"2.675|round(2)", "2.67"},
          {"'héé'|length", "3"},
          {"5|length", "t.jinja:1: object of type 'int' has no len()"}});
}

TEST(JinjaFilters, OfLists) {
  const char* const r =
      R"({"r":[{"role":"user","n":2},{"role":"assistant","n":1},{"role":"user"}],"l":[3,1,2]})";
  expect({{"l|first", "3"},
          {"l|last", "2"},
          {"l|sort", "[1, 2, 3]"},
          {"l|sort(attribute='x')", "[3, 1, 2]"},
          {"['nan'|float, 1.0]|sort", "t.jinja:1: sorting NaN is not supported"},
          {"{1: 'a', (1, 2.0): 'c'}[(1.0, 2)]", "c"},
          {"{[1]: 2}", "t.jinja:1: unhashable type: 'list'"},
          {"{range: 2}", "t.jinja:1: a function as the key of a dict is not supported"},
          {"['b', 'A', 'c']|sort", "['A', 'b', 'c']"},
          {"['b', 'A']|sort(case_sensitive=true, reverse=true)", "['b', 'A']"},
          {"l|reverse|list", "[2, 1, 3]"},
          {"l|join('-')", "3-1-2"},
          {"r|join(', ', attribute='role')", "user, assistant, user"},
          {"r|map(attribute='role')|unique|list", "['user', 'assistant']"},
          {"['a', 'b']|map('upper')|join", "AB"},
          {"r|map(attribute='n', default=0)|sum", "3"},
          {"r|selectattr('role', 'equalto', 'user')|list|length", "2"},
          {"r|rejectattr('n', 'defined')|list", "[{'role': 'user'}]"},
          {"(r|selectattr('role', '==', 'user')|first).n", "2"},
          {"l|select('odd')|list", "[3, 1]"},
          {"l|reject('gt', 1)|list", "[1]"},
          {"l|max", "3"},
          {"[]|min is undefined", "True"},
          {"l|batch(2, 0)|list", "[[3, 1], [2, 0]]"},
          {"l|slice(2)|list", "[[3, 1], [2]]"},
          {"{'b': 1, 'a': 2}|dictsort", "[('a', 2), ('b', 1)]"},
          {"{'b': 1}|items|list", "[('b', 1)]"},
          {"r|groupby('role')|map(attribute='grouper')|list", "['assistant', 'user']"},
          {"l|map('nothing')|list", "t.jinja:1: the filter \"nothing\" is not supported"},
          {"l|map", "t.jinja:1: printing a generator is not supported"},
          {"[1, 'a']|sort", "t.jinja:1: '<' not supported between instances of 'str' and 'int'"}},
         r);
  EXPECT_EQ(render("{% set x = l|select('odd') %}{{ x|list }}{{ x|list }}", r), "[3, 1][]")
      << "a generator gives its items once";
}

TEST(JinjaFilters, ToJsonIsThatOfTransformers) {
  const char* const v = R"({"d":{"b":[1,2.5,null,true],"a":"é<\"\n\u0001/"},"e":[],"x":{}})";
  expect({{"d|tojson", "{\"b\": [1, 2.5, null, true], \"a\": \"é<\\\"\\n\\u0001/\"}"},
          {"d|tojson(ensure_ascii=true, sort_keys=true)",
           "{\"a\": \"\\u00e9<\\\"\\n\\u0001/\", \"b\": [1, 2.5, null, true]}"},
          {"d.b|tojson(separators=(',', ':'))", "[1,2.5,null,true]"},
          {"d.b|tojson(indent=1)", "[\n 1,\n 2.5,\n null,\n true\n]"},
          {"[e, x]|tojson(indent=2)", "[\n  [],\n  {}\n]"},
          {"{1: 1e16, none: (1, 2)}|tojson", "{\"1\": 1e+16, \"null\": [1, 2]}"},
          {"'😀'|tojson(true)", "\"\\ud83d\\ude00\""},
          {"missing|tojson",
           "t.jinja:1: tojson: an object of type Undefined is not JSON serializable"}},
         v);
}

TEST(JinjaTests, Is) {
  expect({{"1 is odd and 2 is even", "True"},
          {"6 is divisibleby 3", "True"},
          {"none is none", "True"},
          {"true is boolean and 1 is integer and 1.5 is float", "True"},
          {"true is integer", "False"},
          {"true is number", "True"},
          {"'a' is string and {} is mapping", "True"},
          {"'a' is sequence and {} is sequence and () is sequence", "True"},
          {"1 is iterable", "False"},
          {"'ab' is lower and 'AB' is upper", "True"},
          {"1 is in [1, 2]", "True"},
          {"1 is eq 1 and 1 is ne 2 and 1 is lt 2 and 2 is ge 2", "True"},
          {"none is sameas none", "True"},
          {"'upper' is filter and 'nothing' is not filter", "True"},
          {"range is callable", "True"},
          {"x is not defined", "True"},
          {"1 is true", "False"}});
}

}  // namespace
}  // namespace longgen
