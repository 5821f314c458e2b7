#include "longgen/report/html_page.h"

#include "test_support.h"

namespace longgen {
namespace {

ReportPage small_page() {
  return {"Needles: a", "a finds 3.", {{"By length", {PageText{"Bands."}}}}, {{"program", "x"}}};
}

TEST(HtmlPage, HasItsPartsInOrder) {
  ReportPage page = small_page();
  page.sections[0].parts.emplace_back(
      PageTable{"Found", {"length", "a"}, {{{"4K"}, {"3 of 3", "44% to 100%"}}}, true});
  page.sections[0].parts.emplace_back(PageCharts{{{"left", "<svg/>"}, {"right", "<svg/>"}}});
  const std::string html = html_page(page);
  size_t at = 0;
  for (const char* part :
       {"<title>Needles: a</title>", "<h1>Needles: a</h1>", "<p class=\"summary\">a finds 3.</p>",
        "<h2>By length</h2>", "<p>Bands.</p>", "<caption>Found</caption>",
        "<th scope=\"col\">length</th>", "<tr class=\"total\"><th scope=\"row\">4K</th>",
        "<td>3 of 3<small>44% to 100%</small></td>", "<figcaption>left</figcaption>",
        "<figcaption>right</figcaption>", "<dt>program</dt><dd>x</dd>", "</html>"}) {
    const size_t found = html.find(part, at);
    ASSERT_NE(found, std::string::npos) << part;
    at = found;
  }
}

TEST(HtmlPage, LoadsAndRunsNothing) {
  const std::string html = html_page(small_page());
  for (const char* part : {"<script", "<link", "src=", "@import", "url(", "href="}) {
    EXPECT_FALSE(contains(html, part));
  }
  EXPECT_TRUE(contains(html, "default-src 'none'"));
}

TEST(HtmlPage, ShowsTextsAsTheyAre) {
  const std::string hostile = "</style><script>alert(1)</script>&\x01";
  ReportPage page{hostile, hostile, {{hostile, {PageText{hostile}}}}, {{hostile, hostile}}};
  page.sections[0].parts.emplace_back(PageTable{hostile, {hostile}, {{{hostile, hostile}}}});
  page.sections[0].parts.emplace_back(PageChart{hostile, ""});
  const std::string html = html_page(page);
  EXPECT_FALSE(contains(html, "<script"));
  EXPECT_EQ(count_of(html, "</style>"), 1);
  EXPECT_EQ(count_of(html, "&lt;script&gt;alert(1)&lt;/script&gt;&amp;"), 14);
}

TEST(HtmlPage, WideThingsCanBeScrolledByKeyboard) {
  ReportPage page = small_page();
  page.sections[0].parts.emplace_back(PageTable{"Found \"it\"", {"a"}, {{{"1"}}}});
  page.sections[0].parts.emplace_back(PageChart{"Chart", "<svg/>"});
  const std::string html = html_page(page);
  for (const char* part :
       {"<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Found "
        "&quot;it&quot;\">",
        "<figure tabindex=\"0\" role=\"region\" aria-label=\"Chart\">"}) {
    EXPECT_TRUE(contains(html, part)) << html;
  }
}

TEST(HtmlPage, OptionsOfACommandStayWhole) {
  ReportPage page = small_page();
  page.facts = {{"command", "longgen eval --text  a--b\n--x"}};
  EXPECT_TRUE(contains(html_page(page),
                       "<dd>longgen eval <span>--text</span>  a--b\n<span>--x</span></dd>"));
}

TEST(HtmlPage, RefusesRowsOfAnotherLength) {
  ReportPage page = small_page();
  page.sections[0].parts.emplace_back(PageTable{"", {"a", "b"}, {{{"1"}}}});
  EXPECT_TRUE(fails_with([&] { html_page(page); }, "rows of 2 cells, found one of 1"));
}

}  // namespace
}  // namespace longgen
