// Templates that would take the machine down end with an error.
#include <gtest/gtest.h>

#include "tests/unit/chat/render.h"

namespace longgen {
namespace {

jinja::Limits small_limits() {
  return {.steps = 20000,
          .depth = 100,
          .value_depth = 20,
          .text_bytes = 10000,
          .list_items = 1000,
          .memory_bytes = 1 << 20};
}

TEST(JinjaLimits, EachEndsTheTemplateByName) {
  const std::string steps = "t.jinja:1: the template takes more than 20000 steps";
  const std::string text = "t.jinja:1: the template makes a string of more than 10000 bytes";
  const std::string list = "t.jinja:1: the template makes a list of more than 1000 items";
  const std::string depth = "t.jinja:1: the template nests deeper than 100 levels";
  const std::string values = "t.jinja:1: the template nests values deeper than 20 levels";
  const std::string memory =
      "t.jinja:1: the template makes strings and lists of more than 1048576 bytes in all";
  const std::pair<const char*, std::string> cases[] = {
      {"{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", memory},
      {"{% for i in range(9999) %}{% for j in [1,2,3] %}{{ i * j }}{% endfor %}{% endfor %}",
       steps},
      {"{{ 'a' * 10001 }}", text},
      {"{{ 'a' * 9223372036854775807 }}", text},
      {"{{ 'aa'.replace('a', 'b' * 9000) }}", text},
      {"{{ ('a' * 9000) ~ ('b' * 9000) }}", text},
      {"{{ '%s%s' % ('a' * 9000, 'b' * 9000) }}", text},
      {"{{ 'a'.center(9999999999) }}", text},
      {"{{ ['a' * 9000, 'a' * 9000] | tojson }}", text},
      {"{% for i in range(200) %}{{ 'a' * 100 }}{% endfor %}", text},
      {"{% set x %}{% for i in range(200) %}{{ 'a' * 100 }}{% endfor %}{% endset %}", text},
      {"{{ [1] * 1001 }}", list},
      {"{{ [1] * 9223372036854775807 }}", list},
      {"{{ ('a' * 2000) | list }}", list},
      {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", depth},
      {"{% set ns = namespace(x=[]) %}{% for i in range(99) %}{% set ns.x = [ns.x] %}{% endfor %}",
       values},
      {"{% set ns = namespace(x=[]) %}{% for i in range(99) %}{% set ns.x = ns.x|map('int') %}{% "
       "endfor %}",
       values},
      {"{% set ns = namespace(x=[1]) %}{% for i in range(99) %}{% for j in [ns.x] %}"
       "{% set ns.x = loop %}{% endfor %}{% endfor %}",
       values},
      {"{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}", depth},
      {"{% set ns = namespace(x=(1,)) %}{% for i in range(15) %}{% set ns.x = (ns.x, ns.x) %}"
       "{% endfor %}{{ ns.x in {} }}",
       text},
  };
  for (const auto& [source, expected] : cases) {
    EXPECT_EQ(render(source, "{}", small_limits()), expected) << source;
  }
}

TEST(JinjaLimits, NestingIsCheckedBeforeItUsesTheStack) {
  const auto nested = [](const std::string& open, const std::string& inside,
                         const std::string& close, int times) {
    std::string text;
    for (int i = 0; i < times; ++i) text += open;
    text += inside;
    for (int i = 0; i < times; ++i) text += close;
    return text;
  };
  const std::string expressions =
      "t.jinja:1: the template nests expressions deeper than 200 levels";
  EXPECT_EQ(render("{{ " + nested("(", "1", ")", 100000) + " }}"), expressions);
  EXPECT_EQ(render("{{ " + nested("[", "1", "]", 100000) + " }}"), expressions);
  EXPECT_EQ(render("{{ " + nested("-", "1", "", 100000) + " }}"), expressions);
  EXPECT_EQ(render("{{ " + nested("not ", "1", "", 100000) + " }}"), expressions);
  EXPECT_EQ(render("{{ 1" + nested("+1", "", "", 100000) + " }}"), expressions);
  EXPECT_EQ(render("{{ x" + nested("|e", "", "", 100000) + " }}"), expressions);
  EXPECT_EQ(render("{{ x" + nested(".y", "", "", 100000) + " }}"), expressions);
  EXPECT_EQ(render("{{ 1" + nested(" if 1 else 1", "", "", 100000) + " }}"), expressions);
  EXPECT_EQ(render(nested("{% if 1 %}", "", "{% endif %}", 100000)),
            "t.jinja:1: the template nests statements deeper than 100 levels");
  std::string many = "{% if x == 0 %}";
  for (int i = 0; i < 5000; ++i) many += "{% elif x == 1 %}";
  EXPECT_EQ(render(many + "{% else %}ok{% endif %}"), "ok") << "elif does not nest";
}

TEST(JinjaLimits, RealSizesFitTheDefaults) {
  const std::string document(4 << 20, 'x');
  EXPECT_EQ(render_text("{% for m in messages %}{{ m.content | trim }}{{ m.content.split('y')[0] }}"
                        "{% endfor %}",
                        R"({"messages":[{"content":")" + document + R"("}]})")
                .size(),
            2 * document.size());
}

}  // namespace
}  // namespace longgen
