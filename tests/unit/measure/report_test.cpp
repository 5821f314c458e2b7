#include "longgen/measure/report_page.h"

#include "tests/unit/error_text.h"
#include "tests/unit/folder_test.h"
#include "tests/unit/measure/test_support.h"

namespace longgen {
namespace {

/// Layers 0 to 2 of 3; layer 1 alone answers.
MeasureReport made_up_report() {
  MeasureReport report;
  report.num_layers = 3;
  report.edges = {64, 128, 200};
  report.sparse = "sink=1,window=1,stride=0";
  report.settings = {{"length", 200}};
  report.choice.full = values_with_means(3, 0, -0.5);
  report.choice.sparse = values_with_means(3.4, 0.2, -2.5);
  report.choice.effects = {{0, values_with_means(3.01, 0.02, -0.5)},
                           {1, values_with_means(3.1, 0.1, -2.5)},
                           {2, values_with_means(3, 0, -0.6)}};
  report.choice.order = {{1, values_with_means(3.02, 0.04, -0.7)},
                         {0, values_with_means(3.01, 0.01, -0.6)}};
  report.choice.num_full = 1;
  return report;
}

TEST(MeasureReport, TheTablesSayWhatIsLost) {
  const std::string text = to_text(made_up_report());
  EXPECT_TRUE(contains(text,
                       "With every layer full: perplexity 20.09 of text beyond the window, answers "
                       "-0.500 nats a\ntoken, 4 of 4 right.\n"));
  EXPECT_TRUE(contains(text,
                       "layer  perplexity       KL  answers   right   lost\n"
                       "1         +10.52%  0.10000    2.000  1 of 4  75.0%\n"
                       "0          +1.01%  0.02000    0.000  4 of 4   5.0%\n"
                       "2          +0.00%  0.00000    0.100  4 of 4   2.5%\n"))
      << text;
  EXPECT_TRUE(contains(text,
                       "full layers  perplexity       KL  answers   right    lost\n"
                       "none            +49.18%  0.20000    2.000  1 of 4  100.0%\n"
                       "* 1, with 1      +2.02%  0.04000    0.200  4 of 4   15.0%\n"
                       "2, with 0        +1.01%  0.01000    0.100  4 of 4    5.0%\n"
                       "all              +0.00%  0.00000    0.000  4 of 4    0.0%\n"
                       "\nplan (*): 1 (1 of 3)\n"))
      << text;
}

/// Gates put layer 1 first, then 2, then 0.
MeasureReport report_with_gates() {
  MeasureReport report = made_up_report();
  report.gates = rank_by_gates({.kl = {2, 10, 6}, .answers = {0, 20, 1}}, report.choice);
  return report;
}

TEST(MeasureReport, GatesStandBesideWhatWasMeasured) {
  const MeasureReport report = report_with_gates();
  const std::string text = to_text(report);
  EXPECT_TRUE(contains(text,
                       "layer  perplexity       KL  answers   right   lost  gates\n"
                       "1         +10.52%  0.10000    2.000  1 of 4  75.0%  75.0%\n"
                       "0          +1.01%  0.02000    0.000  4 of 4   5.0%   5.0%\n"
                       "2          +0.00%  0.00000    0.100  4 of 4   2.5%  17.5%\n"))
      << text;
  EXPECT_TRUE(
      contains(text,
               "of what answers lose.\nBy gates, in one pass back: rank correlation with lost "
               "0.50; of the first 1 the plan has 1 (1).\n"))
      << text;
  const OrderedJson json = to_json(report);
  EXPECT_NEAR(json["layers"][2]["lost_by_gates"].get<double>(), 0.175, 1e-12);
  EXPECT_NEAR(json["gates"]["rank_correlation"].get<double>(), 0.5, 1e-12);
  EXPECT_EQ(json["gates"]["order"], OrderedJson({1, 2, 0}));
  EXPECT_EQ(json["gates"]["in_plan"], 1);
  EXPECT_FALSE(to_json(made_up_report()).contains("gates"));
}

TEST(MeasureReport, SaysWhereGatesTellNothingApart) {
  MeasureReport report = made_up_report();
  report.gates = rank_by_gates({.kl = {0, 0, 0}, .answers = {0, 0, 0}}, report.choice);
  EXPECT_TRUE(contains(to_text(report), ": no rank correlation, because all lose the same; of"));
  EXPECT_TRUE(to_json(report)["gates"]["rank_correlation"].is_null());
}

TEST(MeasureReport, SaysHowFewLayersMatter) {
  EXPECT_TRUE(contains(to_text(made_up_report()),
                       "Of 3 layers, 2 hold nine tenths of the KL, 1 of what answers lose."));
}

TEST(MeasureReport, NamesHeadsByLayerAndNumber) {
  MeasureReport report = made_up_report();
  report.per_layer = 3;  // the same three units as the heads of layer 0
  EXPECT_TRUE(contains(to_text(report), "\nplan (*): 0.1\n"));
  EXPECT_TRUE(contains(to_text(report), "\n2, with 0.0 "));
  const OrderedJson json = to_json(report);
  EXPECT_EQ(json["full_kv_heads"][0], (OrderedJson{{"layer", 0}, {"kv_head", 1}}));
  EXPECT_EQ(json["kv_heads"][2]["kv_head"], 2);
}

TEST(MeasureReport, JsonHoldsPositionsToo) {
  const OrderedJson json = to_json(made_up_report());
  EXPECT_EQ(json["full_layers"], OrderedJson({1}));
  EXPECT_EQ(json["layers"][1]["chosen"], true);
  EXPECT_NEAR(json["layers"][1]["kl"].get<double>(), 0.1, 1e-12);
  const OrderedJson& position = json["all_sparse"]["positions"][1];
  EXPECT_EQ(position["begin"], 128);
  EXPECT_EQ(position["end"], 200);
  EXPECT_EQ(position["tokens"], 60);
  EXPECT_NEAR(position["nll_over_full"].get<double>(), 0.4, 1e-12);
  EXPECT_NEAR(json["order"][0]["lost"].get<double>(), 0.15, 1e-12);
}

TEST(MeasureReport, WarnsOfWhatDoesNotCount) {
  LayerChoice choice = made_up_report().choice;
  EXPECT_TRUE(warnings(choice, {.num_full = 1, .within = {}}).empty());
  EXPECT_TRUE(warnings(choice, {.num_full = 0, .within = 0.03}).empty());
  EXPECT_EQ(warnings(choice, {.num_full = 0, .within = 0.01}),
            std::vector<std::string>{"no hybrid is within 1%: the plan has the most layers that "
                                     "were tried together."});
  choice.sparse = values_with_means(3.4, 0.2, -0.625);
  EXPECT_EQ(warnings(choice, {.num_full = 1, .within = {}}),
            std::vector<std::string>{
                "the questions do not count: with every layer full the model gives their answers "
                "hardly more probability than with every layer sparse (0.125 nats a token). The "
                "choice follows far text alone."});
}

std::string page_text(const MeasureReport& report) { return html_page(measure_page(report, "m")); }

int64_t count_of(const std::string& part, const std::string& text) {
  int64_t count = 0;
  for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++count;
  return count;
}

TEST(MeasurePage, HasABarAndARowForEachVariant) {
  const std::string html = page_text(made_up_report());
  EXPECT_TRUE(contains(html, "<h1>Which layers of m need to see everything</h1>"));
  EXPECT_TRUE(
      contains(html,
               "With layers 1 (1 of 3) full and all others seeing sink=1,window=1,stride=0, "
               "the model loses 15.0% of what it loses with every layer sparse: 0.04000 "
               "nats a token (KL) of far text, and 0.200 of answers about far facts."));
  // KL and answers of three layers alone, and of none, one and two full ones.
  EXPECT_EQ(count_of("<title>", html), 1 + 2 * 3 + 2 * 3) << "of the page, and of each bar";
  EXPECT_TRUE(contains(html,
                       "<th scope=\"row\">1</th><td>+10.52%</td><td>0.10000</td><td>2.000</td>"
                       "<td>1 of 4</td><td>75.0%</td></tr>\n<tr><th scope=\"row\">0</th>"));
  EXPECT_TRUE(contains(html, "<th scope=\"row\">1, with 1</th><td>+2.02%</td>"));
  EXPECT_TRUE(contains(html, "<dt>length</dt><dd>200</dd>"));
}

TEST(MeasurePage, ShowsGatesWhereThereAreSome) {
  const std::string html = page_text(report_with_gates());
  EXPECT_TRUE(contains(html, "<td>75.0%</td><td>75.0%</td></tr>\n<tr><th scope=\"row\">0</th>"));
  EXPECT_TRUE(contains(html, "of what answers lose. By gates, in one pass back: rank correlation"));
}

TEST(MeasurePage, LeavesOutAnswersThatDoNotCount) {
  MeasureReport report = made_up_report();
  report.choice.sparse = values_with_means(3.4, 0.2, -0.6);
  EXPECT_TRUE(contains(page_text(report),
                       "0.04000 nats a token (KL) of far text, which alone counts: the full model "
                       "cannot answer the questions, either."));
}

TEST(MeasurePage, ShowsHeadsAsAMap) {
  MeasureReport report = made_up_report();
  report.per_layer = 3;
  const std::string html = page_text(report);
  EXPECT_TRUE(contains(html, "<h1>Which KV heads of m need to see everything</h1>"));
  EXPECT_TRUE(contains(html, "0.1: KL 0.10000, answers 2.000 nats a token, stays full"));
  EXPECT_TRUE(contains(html, "0.2: KL 0.00000, answers 0.100 nats a token</title>"));
}

class MeasureFiles : public FolderTest {};

TEST_F(MeasureFiles, AreAllThere) {
  const MeasureReport report = made_up_report();
  write_measurement(report, dir_);
  EXPECT_EQ(read_file(dir_ / "layers.csv"),
            "layer,chosen,perplexity_over_full,kl,answers_lost,right,answers,lost\n"
            "0,0,0.0100502,0.02,0,4,4,0.05\n"
            "1,1,0.105171,0.1,2,1,4,0.75\n"
            "2,0,0,0,0.1,4,4,0.025\n");
  EXPECT_EQ(read_file(dir_ / "measure.dat"),
            "# layer kl answers_lost chosen\n0 0.02 0 0\n1 0.1 2 1\n2 0 0.1 0\n");
  write_measurement(report_with_gates(), dir_);
  EXPECT_TRUE(contains(read_file(dir_ / "layers.csv"),
                       ",lost,lost_by_gates\n0,0,0.0100502,0.02,0,4,4,0.05,0.05\n"));
  const std::string script = read_file(dir_ / "measure.gp");
  EXPECT_TRUE(contains(script, "set boxwidth 0.8\nset xrange [-0.7:2.7]\nset xtics 0,1 "));
  EXPECT_TRUE(contains(script, "set xlabel 'layer that is sparse, all others full'\n"));
  EXPECT_TRUE(contains(script, "using 1:($4 == 1 ? $3 : 0) with boxes"));
  for (const char* name : {"measurement.json", "measure.gp", "measure.dat"}) {
    EXPECT_TRUE(fs::exists(dir_ / name)) << name;
  }
}

}  // namespace
}  // namespace longgen
