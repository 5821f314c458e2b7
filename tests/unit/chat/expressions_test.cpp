// Literals, operators, attributes, undefined values, and how Python prints things.
#include <gtest/gtest.h>

#include "tests/unit/chat/expect.h"

namespace longgen {
namespace {

TEST(JinjaExpressions, PrintsAsPythonDoes) {
  expect({{"true", "True"},
          {"none", "None"},
          {"1.0", "1.0"},
          {"0.1 + 0.2", "0.30000000000000004"},
          {"1e16", "1e+16"},
          {"123456789012345.0", "123456789012345.0"},
          {"0.0001", "0.0001"},
          {"0.00001", "1e-05"},
          {"-0.0", "-0.0"},
          {"1_000", "1000"},
          {"0x1f", "31"},
          {"[1, 'a', none, 2.5]", "[1, 'a', None, 2.5]"},
          {"(1,)", "(1,)"},
          {"1, 2", "(1, 2)"},
          {"{'a': [true], 2: ()}", "{'a': [True], 2: ()}"},
          {"[\"it's\", 'q\"', 'a\\nb\\\\', '\\x01\\u00e9\\u200b']",
           "[\"it's\", 'q\"', 'a\\nb\\\\', '\\x01\xC3\xA9\\u200b']"},
          {"range(3)", "range(0, 3)"},
          {"{'a': 1}.items()", "dict_items([('a', 1)])"},
          {"namespace(a=1)", "<Namespace {'a': 1}>"},
          {"'a' 'b'", "ab"},
          {"'\\t\\101\\q'", "\tA\\q"}});
}

TEST(JinjaExpressions, Arithmetic) {
  expect({{"7 // 2", "3"},
          {"-7 // 2", "-4"},
          {"-7 % 3", "2"},
          {"7 % -3", "-2"},
          {"7 / 2", "3.5"},
          {"4 / 2", "2.0"},
          {"2 ** 10", "1024"},
          {"2 ** -1", "0.5"},
          {"-(2 ** 2)", "-4"},
          {"-2 ** 2", "t.jinja:1: a power of a negative number is not supported"},
          {"-7.5 // 2", "-4.0"},
          {"-7.5 % 2", "0.5"},
          {"true + 1", "2"},
          {"'ab' * 3", "ababab"},
          {"2 * [1]", "[1, 1]"},
          {"'ab' * -1", ""},
          {"[1] + [2]", "[1, 2]"},
          {"'a' ~ 1 ~ none", "a1None"},
          {"1 ~ 2 + 3 ~ 4", "1234"},
          {"'%s-%d-%5.2f-%-3s|%%' % ('a', 3.9, 2.345, 'x')", "a-3- 2.35-x  |%"},
          {"'%(k)s' % {'k': 1}", "1"},
          {"'a' + 1", "t.jinja:1: unsupported operand types for +: 'str' and 'int'"},
          {"1 / 0", "t.jinja:1: division by zero"},
          {"9223372036854775807 + 1",
           "t.jinja:1: the result is no integer of 64 bits: longer ones are not supported"},
          {"2 ** 64",
           "t.jinja:1: the result is no integer of 64 bits: longer ones are not supported"}});
}

TEST(JinjaExpressions, ComparisonsAndLogic) {
  expect({{"1 < 2 < 3", "True"},
          {"1 < 3 < 2", "False"},
          {"1 == 1.0 == true", "True"},
          {"'a' < 'b'", "True"},
          {"[1, 2] < [1, 3]", "True"},
          {"'b' in 'abc'", "True"},
          {"2 not in [1, 3]", "True"},
          {"'k' in {'k': 1}", "True"},
          {"{'a': 1, 'b': 2} == {'b': 2, 'a': 1}", "True"},
          {"not 1 == 2", "True"},
          {"0 or 'x'", "x"},
          {"1 and ''", ""},
          {"'y' if [] else 'n'", "n"},
          {"'y' if 0", ""},
          {"1 < 'a'", "t.jinja:1: '<' not supported between instances of 'int' and 'str'"},
          {"1 in 'a'", "t.jinja:1: 'in <string>' requires string as left operand, not int"},
          {"1 in 2", "t.jinja:1: 'int' object is not iterable"}});
}

TEST(JinjaExpressions, ItemsAttributesAndSlices) {
  expect({{"d.a", "1"},
          {"d['a']", "1"},
          {"d.items is callable", "True"},
          {"d['items']", "x"},
          {"d.items()|list|length", "3"},
          {"l[-1]", "3"},
          {"l.0", "1"},
          {"l[1:]", "[2, 3]"},
          {"l[::-1]", "[3, 2, 1]"},
          {"l[5:]", "[]"},
          {"l[-2:99:2]", "[2]"},
          {"s[1]", "\xC3\xA9"},
          {"s[::-1]", "\xF0\x9F\x98\x80\xC3\xA9h"},
          {"s[:2]", "h\xC3\xA9"},
          {"s|length", "3"},
          {"l[9] is undefined", "True"},
          {"l[1:2, 3]", "t.jinja:1: a slice or an attribute of a namespace cannot stand here"},
          {"5[1:]", "t.jinja:1: slices of 'int' objects are not supported"},
          {"l[::0]", "t.jinja:1: slice step cannot be zero"}},
         R"({"d":{"a":1,"items":"x","c":null},"l":[1,2,3],"s":"hé😀"})");
}

TEST(JinjaExpressions, UndefinedPrintsNothingAndFailsOtherwise) {
  expect({{"x", ""},
          {"d.x", ""},
          {"x is defined", "False"},
          {"x == y", "True"},
          {"x|length", "0"},
          {"x ~ 'a'", "a"},
          {"x.y", "t.jinja:1: 'x' is undefined"},
          {"d.x.y", "t.jinja:1: 'dict object' has no attribute 'x'"},
          {"x + 1", "t.jinja:1: 'x' is undefined"},
          {"x < 1", "t.jinja:1: 'x' is undefined"},
          {"x()", "t.jinja:1: 'x' is undefined"},
          {"x|default('d')", "d"},
          {"''|default('d', true)", "d"},
          {"d.update", ""},
          {"d.update({})", "t.jinja:1: access to attribute 'update' of 'dict' object is unsafe"},
          {"[].append(1)", "t.jinja:1: access to attribute 'append' of 'list' object is unsafe"},
          {"''.__class__", ""},
          {"''.__class__.__mro__",
           "t.jinja:1: access to attribute '__class__' of 'str' object is unsafe"}},
         R"({"d":{}})");
}

TEST(JinjaExpressions, Functions) {
  expect({{"range(1, 7, 2)|list", "[1, 3, 5]"},
          {"dict(a=1, **{'b': 2})", "{'a': 1, 'b': 2}"},
          {"dict([['a', 1]], b=2)", "{'a': 1, 'b': 2}"},
          {"strftime_now('%d %b %Y, %H:%M:%S %A %j%%')", "04 Jul 2026, 15:09:08 Saturday 185%"},
          {"strftime_now('%-d/%-m')", "4/7"},
          {"strftime_now('%Q')", "t.jinja:1: strftime_now(): the conversion %Q is not supported"},
          {"raise_exception('Roles must alternate')", "t.jinja:1: Roles must alternate"},
          {"joiner(', ')", "t.jinja:1: the function joiner() is not supported"},
          {"lipsum()", "t.jinja:1: the function lipsum() is not supported"},
          {"namespace(_a=1)", "t.jinja:1: names of a namespace must not begin with _, found _a"},
          {"range(1000000)|length",
           "t.jinja:1: Range too big. The sandbox blocks ranges larger than 100000."},
          {"5()", "t.jinja:1: 'int' object is not callable"}});
}

TEST(JinjaExpressions, ErrorsNameTheLine) {
  EXPECT_EQ(render("a\n{{ 'b' }}\n{{ 1 +\n nothing }}\n"), "t.jinja:3: 'nothing' is undefined");
  EXPECT_EQ(render("\n{{ x | xyz }}"), "t.jinja:2: the filter \"xyz\" is not supported");
  EXPECT_EQ(render("\n{{ x is xyz }}"), "t.jinja:2: the test \"xyz\" is not supported");
  EXPECT_EQ(render("{% if false %}{{ x | xyz }}{% endif %}."), ".") << "only where it is reached";
}

}  // namespace
}  // namespace longgen
