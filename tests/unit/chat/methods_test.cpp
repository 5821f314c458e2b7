// The methods of strings, lists and dicts.
#include <gtest/gtest.h>

#include "tests/unit/chat/render.h"

namespace longgen {
namespace {

TEST(JinjaMethods, GiveWhatPythonGives) {
  const std::pair<const char*, const char*> cases[] = {
      {"'  a b '.strip() ~ '|'", "a b|"},
      {"'\xC2\xA0 a\\u3000'.strip()", "a"},
      {"'xxay'.lstrip('x')", "ay"},
      {"'a</s></s>'.rstrip('</s>')", "a"},
      {"' a  b '.split()", "['a', 'b']"},
      {"'a,b,,c'.split(',')", "['a', 'b', '', 'c']"},
      {"'a b c'.split(' ', 1)", "['a', 'b c']"},
      {"'  a  b c '.split(none, 1)", "['a', 'b c ']"},
      {"'a b c'.rsplit(' ', 1)", "['a b', 'c']"},
      {"'x</think>y'.split('</think>')[-1]", "y"},
      {"'a\\nb\\r\\nc'.splitlines()", "['a', 'b', 'c']"},
      {"'a=b=c'.partition('=')", "('a', '=', 'b=c')"},
      {"'abc'.rpartition('x')", "('', '', 'abc')"},
      {"'abc'.startswith(('x', 'ab'))", "True"},
      {"'abc'.endswith('bc', 2)", "False"},
      {"'hello'.find('l')", "2"},
      {"'éél'.rfind('l')", "2"},
      {"'hello'.count('l')", "2"},
      {"'aaa'.replace('a', 'b', 2)", "bba"},
      {"'ab'.replace('', '-')", "-a-b-"},
      {"'hello world'.title()", "Hello World"},
      {"\"they're\".title()", "They'Re"},
      {"'ßa ﬁ ǆ'.title()", "Ssa Fi ǅ"},
      {"', '.join(['a', 'b'])", "a, b"},
      {"'{} {1}'.format(1)", "t.jinja:1: format() has no argument 1"},
      {"'{} {} {x} {0!r}'.format('a', 2, x=3)", "a 2 3 'a'"},
      {"'{0[k]} {{}}'.format({'k': 5})", "5 {}"},
      {"'{:>5}'.format(1)", "t.jinja:1: format specifications are not supported: {:>5}"},
      {"'7'.zfill(3) ~ '-7'.zfill(4)", "007-007"},
      {"'a'.center(4, '*') ~ 'a'.ljust(3, '.') ~ 'a'.rjust(3)", "*a**a..  a"},
      {"'12'.isdigit() and 'a1'.isalnum() and ' '.isspace()", "True"},
      {"'prefix-x'.removeprefix('prefix-')", "x"},
      {"'x.py'.removesuffix('.py')", "x"},
      {"'a'.encode('utf-8')", "t.jinja:1: the method encode() of a string is not supported"},
      {"'a'.join([1])", "t.jinja:1: sequence item 0: expected a string, found 'int'"},
      {"'a'.split('')", "t.jinja:1: empty separator"},
      {"'a'.index('b')", "t.jinja:1: substring not found"},
      {"{'a': 1}.get('a') ~ {'a': 1}.get('b') ~ {}.get('b', 2)", "1None2"},
      {"{'a': 1}.keys()|list ~ {'a': 1}.values()|list", "['a'][1]"},
      {"[1, 2, 1].count(1) ~ [1, 2].index(2)", "21"},
      {"[1].index(5)", "t.jinja:1: 5 is not in list"},
      {"{[]: 1}", "t.jinja:1: unhashable type: 'list'"},
  };
  for (const auto& [expression, expected] : cases) {
    EXPECT_EQ(render(std::string("{{ ") + expression + " }}"), expected) << expression;
  }
}

}  // namespace
}  // namespace longgen
