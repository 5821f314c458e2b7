#include "longgen/report/svg_chart.h"

#include <cmath>
#include <limits>

#include "longgen/report/svg_text.h"
#include "test_support.h"

namespace longgen {
namespace {

LineChart two_lines() {
  LineChart chart{.title = "t", .x_label = "tokens", .y_label = "perplexity", .series = {}};
  chart.series.push_back({"full", {{1024, 6, Interval{5, 7}}, {2048, 5, Interval{4, 6}}}});
  chart.series.push_back({"hybrid", {{1024, 6.5, {}}, {2048, 5.5, Interval{5, 6}}}});
  return chart;
}

TEST(LineChart, NamesTicksValuesAndBands) {
  const std::string svg = svg_chart(two_lines());
  for (const char* part :
       {">1K</text>", ">2K</text>", ">perplexity</text>", ">tokens</text>", ">full</text>",
        "<title>full, 2K: 5.00 (4.00 to 6.00)</title>", "<title>hybrid, 1K: 6.50</title>"}) {
    EXPECT_TRUE(contains(svg, part));
  }
  EXPECT_EQ(count_of(svg, "<polyline class=\"line "), 2);
  EXPECT_EQ(count_of(svg, "<polygon class=\"band s0\""), 1);
  EXPECT_EQ(count_of(svg, "class=\"whisker s1\""), 1);  // a lonely interval has no area
}

/// The y of the corners of a line, from top to bottom as SVG counts.
std::vector<double> heights(const std::string& svg, const std::string& color) {
  const std::string start = "<polyline class=\"line " + color + " dash0\" points=\"";
  std::vector<double> found;
  const size_t begin = svg.find(start) + start.size(), end = svg.find('"', begin);
  for (size_t comma = svg.find(',', begin); comma < end; comma = svg.find(',', comma + 1)) {
    found.push_back(std::stod(svg.substr(comma + 1)));
  }
  return found;
}

TEST(LineChart, PutsPointsWhereTheirValuesAre) {
  LineChart chart = two_lines();
  chart.series[0].points = {{1024, 4, {}}, {2048, 6, {}}, {4096, 5, {}}};
  const std::vector<double> y = heights(svg_chart(chart), "s0");
  ASSERT_EQ(y.size(), 3u);
  EXPECT_GT(y[0], y[2]);
  EXPECT_NEAR(y[2], (y[0] + y[1]) / 2, 0.011);  // linear
  chart.series = {{"wide", {{1024, 1, {}}, {2048, 100, {}}, {4096, 10, {}}}}};
  const std::vector<double> log = heights(svg_chart(chart), "s0");
  EXPECT_NEAR(log[2], (log[0] + log[1]) / 2, 0.011);  // logarithmic
}

TEST(LineChart, OfDifferencesHasAZeroLineSignsAndItsModelsColours) {
  LineChart chart = two_lines();
  chart.series.erase(chart.series.begin());
  chart.is_difference = true;
  chart.unit = "%";
  chart.first_color = 1;
  const std::string svg = svg_chart(chart);
  EXPECT_EQ(count_of(svg, "class=\"zero\""), 1);
  EXPECT_TRUE(contains(svg, "<title>hybrid, 2K: +5.50% (+5.00% to +6.00%)</title>"));
  EXPECT_TRUE(contains(svg, ">+2%</text>"));
  EXPECT_TRUE(contains(svg, "class=\"line s1 "));
  EXPECT_FALSE(contains(svg, "class=\"line s0 "));
}

TEST(LineChart, DrawsLevelLinesAndThoseOfAnySize) {
  for (const double value : {0.0, 5.0, 1e-300, 1e300}) {
    for (const bool is_difference : {false, true}) {
      LineChart chart = two_lines();
      chart.is_difference = is_difference;
      chart.series = {{"level", {{1024, value, {}}, {2048, value, {}}}},
                      {"near", {{1024, std::nextafter(value, 1), {}}}}};
      const std::string svg = svg_chart(chart);
      EXPECT_FALSE(contains(svg, "nan")) << value;
      EXPECT_FALSE(contains(svg, "\"inf")) << value;
      EXPECT_LT(svg.size(), 6000u) << value;
    }
  }
}

TEST(LineChart, LeavesOutWhatIsNotFinite) {
  const double inf = std::numeric_limits<double>::infinity();
  LineChart chart = two_lines();
  chart.series[0].points = {{1024, inf, {}}, {2048, 5, Interval{0, inf}}};
  const std::string svg = svg_chart(chart);
  EXPECT_FALSE(contains(svg, "inf"));
  EXPECT_FALSE(contains(svg, "nan"));
  chart.series = {{"none", {{1024, std::nan(""), {}}}}};
  EXPECT_TRUE(fails_with([&] { svg_chart(chart); }, "expected a finite point"));
  chart.series = {{"zero", {{0, 1, {}}}}};
  EXPECT_TRUE(fails_with([&] { svg_chart(chart); }, "expected x above 0, found 0"));
}

TEST(BarChart, HasABarForEachValueOfEachMeasure) {
  const BarChart chart{.title = "layers",
                       .x_label = "layer",
                       .categories = {"0", "1", "2"},
                       .measures = {{"loss", {0.5, 1, std::nan("")}}, {"recall", {-1, 0, 3}}},
                       .marked = {false, true, false},
                       .marked_label = "stays full",
                       .plain_label = "made sparse"};
  const std::string svg = svg_chart(chart);
  EXPECT_EQ(count_of(svg, "class=\"bar s0\">"), 3);
  EXPECT_EQ(count_of(svg, "class=\"bar s1\">"), 2);
  EXPECT_TRUE(contains(svg, "<title>0: -1</title>"));
  EXPECT_TRUE(contains(svg, "class=\"tick strong\">1</text>"));
  EXPECT_TRUE(contains(svg, ">stays full</text>"));
  BarChart wrong = chart;
  wrong.measures[1].values.pop_back();
  EXPECT_TRUE(fails_with([&] { svg_chart(wrong); },
                         "recall: expected a value for each of 3 categories, found 2"));
  wrong.measures.clear();
  EXPECT_TRUE(fails_with([&] { svg_chart(wrong); }, "a category and a measure, found 3 and 0"));
}

TEST(HeatMap, HasColourAndNumberOfEachCell) {
  const HeatMap map{.title = "needles",
                    .x_label = "length",
                    .y_label = "depth",
                    .columns = {"4K", "8K"},
                    .rows = {"0%"},
                    .cells = {{HeatCell{1, "100%", "20 of 20"}, std::nullopt}}};
  const std::string svg = svg_chart(map);
  EXPECT_TRUE(contains(svg, "fill=\"#FDE725\""));
  EXPECT_TRUE(contains(svg, "class=\"on-light\">100%</text>"));
  EXPECT_TRUE(contains(svg, "<title>20 of 20</title>"));
  HeatMap dark = map;
  dark.cells[0][0] = HeatCell{0, "0%", ""};
  EXPECT_TRUE(contains(svg_chart(dark), "class=\"on-dark\">0%</text>"));
  dark.cells[0][0]->share = 1.5;
  EXPECT_TRUE(fails_with([&] { svg_chart(dark); }, "share from 0 to 1, found 1.5"));
  dark.cells[0].pop_back();
  EXPECT_TRUE(fails_with([&] { svg_chart(dark); }, "rows of 2 cells, found one of 1"));
}

TEST(HeatMap, HasRoomForLongNamesOfItsAxes) {
  HeatMap map{.title = "needles",
              .x_label = std::string(40, 'x'),
              .y_label = std::string(20, 'y'),
              .columns = {"4K"},
              .rows = {"0%"},
              .cells = {{HeatCell{1, "100%", ""}}}};
  // 40 characters of 6.8 pixels; 20 beside a cell of 32 and what stands below it.
  EXPECT_TRUE(contains(svg_chart(map), "width=\"272\" height=\"132\""));
  map.columns.resize(8, "8K");
  map.cells[0].resize(8);
  EXPECT_TRUE(contains(svg_chart(map), "class=\"chart wide\""));
}

TEST(Ticks, AreRound) {
  EXPECT_EQ(tick_labels(round_ticks(0.1, 0.94, 4)),
            (std::vector<std::string>{"0.2", "0.4", "0.6", "0.8"}));
  EXPECT_EQ(tick_labels(round_ticks(-1, 26, 5)),
            (std::vector<std::string>{"0", "5", "10", "15", "20", "25"}));
  EXPECT_EQ(tick_labels({1.5}), (std::vector<std::string>{"1.5"}));
  EXPECT_EQ(tick_labels({0, 2e7}), (std::vector<std::string>{"0", "2e+07"}));
  EXPECT_LE(round_ticks(5, std::nextafter(5, 6), 5).size(), 16u);  // no double lies between
  EXPECT_EQ(tick_labels(logarithmic_ticks(1.5, 60)),
            (std::vector<std::string>{"2", "5", "10", "20", "50"}));
}

TEST(EscapeXml, LeavesNothingThatIsMarkup) {
  EXPECT_EQ(escape_xml("a<b>&\"'"), "a&lt;b&gt;&amp;&quot;&#39;");
  EXPECT_EQ(escape_xml("\x01\xFF\xE2\x80\xAE\xEF\xBF\xBE"),
            "���"
            "�");  // also turned writing, U+FFFE
  EXPECT_EQ(shortened("äöü", 3), "äöü");
  EXPECT_EQ(shortened("äöüx", 3), "äö…");
}

}  // namespace
}  // namespace longgen
