#include <cmath>
#include <limits>

#include "longgen/eval/needle_page.h"
#include "longgen/eval/needle_report.h"
#include "longgen/eval/needle_text.h"
#include "longgen/eval/perplexity_page.h"
#include "longgen/eval/perplexity_report.h"
#include "longgen/eval/perplexity_text.h"
#include "test_support.h"

namespace longgen {
namespace {

// All that quoting has to survive: both quotes, gnuplot's markup, formats, macros and commands,
// CSV, XML and JSON syntax, control characters, bytes that are not UTF-8.
const std::string kHostile =
    "a_b^c {x} 'q' \"d\", @GPVAL_PI %s %d $HOME `touch ran` ' ; system('touch ran') #\\ \n<b>&amp;"
    "</text><script>\x01\xFF";

PositionBuckets some_buckets(int num_documents, double level) {
  PositionBuckets buckets(doubling_edges(1024, 8192));
  for (int document = 0; document < num_documents; ++document) {
    for (const int64_t position : {5, 1500, 3000, 8000}) {
      buckets.add(position, -level - 0.1 * document - 1e-5 * static_cast<double>(position));
    }
    buckets.end_document();
  }
  return buckets;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    lines.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return lines;
}

/// Well-formed as far as it goes without a parser: every "<" opens a known SVG element, no text has
/// a stray one, no control characters.
::testing::AssertionResult is_clean_svg(const std::string& svg) {
  for (const unsigned char c : svg) {
    if (c < 0x20 && c != '\n' && c != '\t' && c != '\r') {
      return ::testing::AssertionFailure() << "control character " << int{c};
    }
  }
  for (const char* part : {"<script", "<b>", "</text><s"}) {
    if (svg.find(part) != std::string::npos) return ::testing::AssertionFailure() << part;
  }
  return ::testing::AssertionSuccess();
}

class Report : public ReportTest {
 protected:
  ReportOptions options(const std::string& name) {
    ReportOptions options;
    options.folder = dir_ / "out" / "deep";
    options.name = name;
    options.settings["seed"] = 42;
    return options;
  }
  Json json_of(const std::string& name) {
    const fs::path path = dir_ / "out" / "deep" / (name + ".json");
    return parse_json(read_file(path), path.string());
  }
  std::string text_of(const std::string& file) { return read_file(dir_ / "out" / "deep" / file); }

  void expect_all_files(const ReportFiles& result, const std::string& name) {
    EXPECT_EQ(result.picture_problem, "");
    ASSERT_EQ(result.files.size(), 6u);
    for (const auto& file : result.files) EXPECT_TRUE(fs::exists(file)) << file;
    EXPECT_TRUE(text_of(name + ".png").starts_with("\x89PNG\r\n\x1A\n"));
    EXPECT_TRUE(contains(text_of(name + ".svg"), "<svg"));
    EXPECT_TRUE(is_clean_svg(text_of(name + ".svg")));
    int64_t count = 0;
    for (const auto& entry : fs::directory_iterator(dir_ / "out" / "deep")) {
      count += entry.path().filename().string().starts_with(name) ? 1 : 100;
    }
    EXPECT_EQ(count, 6);  // and nothing else: no temporary, nothing that a name made gnuplot run
  }
};

TEST_F(Report, PerplexityIsWrittenInEveryForm) {
  const std::vector<ModelPerplexity> models = {{"full", some_buckets(3, 2.0)},
                                               {"hybrid, 1/3", some_buckets(3, 2.5)}};
  expect_all_files(write_perplexity_report(models, options("ppl")), "ppl");
  const Json json = json_of("ppl");
  EXPECT_EQ(json["settings"]["seed"], 42);
  ASSERT_EQ(json["models"].size(), 2u);
  const Json& bucket = json["models"][1]["buckets"][2];
  const BucketSummary expected = models[1].buckets.bucket(2);
  EXPECT_EQ(bucket["begin"], 2048);
  EXPECT_EQ(bucket["end"], 4096);
  EXPECT_EQ(bucket["tokens"], 3);
  EXPECT_EQ(bucket["documents"], 3);
  EXPECT_DOUBLE_EQ(bucket["mean_nll"], expected.mean_nll);
  EXPECT_DOUBLE_EQ(bucket["perplexity_interval"][1], expected.perplexity_interval->high);
  EXPECT_EQ(json["models"][0]["overall"]["tokens"], 12);
  const auto csv = lines_of(text_of("ppl.csv"));
  ASSERT_EQ(csv.size(), 11u);
  EXPECT_EQ(csv[0],
            "model,begin,end,tokens,documents,mean_nll,mean_nll_low,mean_nll_high,perplexity,"
            "perplexity_low,perplexity_high,difference_percent,difference_low,difference_high");
  EXPECT_TRUE(csv[1].starts_with("full,0,1024,3,3,2.10005,"));
  EXPECT_TRUE(csv[9].starts_with("\"hybrid, 1/3\",4096,8192,3,3,2.68,"));
  EXPECT_TRUE(csv[5].starts_with("full,0,8192,12,3,"));
  EXPECT_TRUE(csv[5].ends_with(",,,"));
  EXPECT_TRUE(csv[10].starts_with("\"hybrid, 1/3\",0,8192,12,3,"));
  EXPECT_TRUE(contains(text_of("ppl.svg"), "hybrid, 1/3"));
  EXPECT_TRUE(contains(text_of("ppl.svg"), "3 documents"));
}

/// Documents of one level and length, the second model worse by `worse` nats in each, more or less.
std::vector<ModelPerplexity> compared_models(double worse) {
  std::vector<ModelPerplexity> models;
  for (const double more : {0.0, worse}) {
    PositionBuckets buckets({0, 100, 300});
    ModelPerplexity model{more == 0 ? "full" : "hyb", buckets};
    model.contexts = {{64, {}}, {128, {}}};
    for (int document = 0; document < 4; ++document) {
      const double level = 2 + document, own = more * (1 + 0.1 * (document - 1.5));
      for (int64_t position = 0; position < 300; ++position) {
        model.buckets.add(position, -level - (position < 100 ? 0 : own));
      }
      model.buckets.end_document();
      model.contexts[0].documents.push_back({16 * level, 16});
      model.contexts[1].documents.push_back({16 * (level - 0.1 * (1 + document) + own), 16});
    }
    models.push_back(std::move(model));
  }
  return models;
}

TEST_F(Report, DifferencesAreInPercentOfTheFirst) {
  const std::vector<ModelPerplexity> models = compared_models(0.02);
  const OrderedJson json = perplexity_json(models, {});
  EXPECT_FALSE(json["models"][0]["overall"].contains("difference"));
  const OrderedJson& model = json["models"][1];
  EXPECT_TRUE(model["buckets"][0]["difference"]["interval"].is_null());  // it never varies
  EXPECT_EQ(model["buckets"][0]["difference"]["percent"], 0);
  const OrderedJson& far = model["buckets"][1]["difference"];
  EXPECT_EQ(far["documents"], 4);
  EXPECT_NEAR(far["percent"], 100 * std::expm1(0.02), 1e-9);
  // Of 0.02 (0.85, 0.95, 1.05, 1.15) the standard deviation is 0.02 sqrt(0.05 / 3).
  const double half = 3.18244630528 * 0.02 * std::sqrt(0.05 / 3) / 2;
  EXPECT_NEAR(far["interval"][0], 100 * std::expm1(0.02 - half), 1e-8);
  EXPECT_NEAR(far["interval"][1], 100 * std::expm1(0.02 + half), 1e-8);
  EXPECT_NEAR(model["overall"]["difference"]["percent"], 100 * std::expm1(0.02 * 2 / 3), 1e-9);
  write_perplexity_report(models, options("ppl"));
  EXPECT_TRUE(contains(lines_of(text_of("ppl.csv"))[5], ",2.02013,"));
}

TEST_F(Report, ContextsAreComparedWithTheShortestAndTheFirst) {
  const std::vector<ModelPerplexity> models = compared_models(0.02);
  const OrderedJson json = perplexity_json(models, options("").settings)["contexts"];
  const OrderedJson& entry = json["models"][1]["contexts"][1];
  EXPECT_EQ(entry["context"], 128);
  EXPECT_EQ(entry["tokens"], 64);
  EXPECT_NEAR(entry["difference"]["percent"], 100 * std::expm1(0.02), 1e-9);
  EXPECT_NEAR(entry["change"]["percent"], 100 * std::expm1(0.02 - 0.25), 1e-9);
  EXPECT_FALSE(json["models"][1]["contexts"][0].contains("change"));
  expect_all_files(write_context_report(models, options("contexts")), "contexts");
  EXPECT_EQ(text_of("contexts.json"), dump_json(json, 2) + "\n");
  EXPECT_TRUE(lines_of(text_of("contexts.csv"))[4].starts_with("hyb,128,64,4,3.27,"));
}

TEST_F(Report, ModelsThatReadOtherTokensAreNotCompared) {
  std::vector<ModelPerplexity> models = compared_models(0.02);
  models[1].reads_same_tokens = false;
  EXPECT_TRUE(perplexity_json(models, {})["models"][1]["overall"]["difference"].is_null());
  EXPECT_TRUE(contains(perplexity_text(models), "\nall         -\n"));
  EXPECT_TRUE(contains(html_page(perplexity_page(models)), "hyb reads other tokens"));
}

TEST_F(Report, AModelThatWasStoppedIsNamed) {
  std::vector<ModelPerplexity> models = compared_models(0.02);
  for (ContextNll& context : models[1].contexts) context.documents.pop_back();
  const std::string sentence =
      "hyb was stopped after 3 of 4 documents with their contexts: its perplexities are of fewer "
      "texts; differences are of the same.";
  EXPECT_TRUE(perplexity_text(models).ends_with("\n" + sentence + "\n"));
  EXPECT_TRUE(contains(html_page(perplexity_page(models)), sentence));
  models[1].reads_same_tokens = false;
  EXPECT_EQ(stopped_text(models), "");
}

TEST_F(Report, TextHasATableOfDifferences) {
  // Student's of 4 documents: of the context's change +- 3.182446 * 0.1 sqrt(5 / 3) / 2 nats.
  EXPECT_EQ(perplexity_text(compared_models(0.02)),
            "perplexity of 4 documents, 1,200 tokens\n"
            "position    full     hyb\n"
            "0-100     33.115  33.115\n"
            "100-300   33.115  33.784\n"
            "all       33.115  33.560\n"
            "difference to full, with its 95% interval over documents\n"
            "position                      hyb\n"
            "0-100                       0.00%\n"
            "100-300   +2.02% (+1.60 to +2.44)\n"
            "all       +1.34% (+1.07 to +1.62)\n"
            "perplexity of the last 16 tokens of each document, by context\n"
            "context    full     hyb\n"
            "64       33.115  33.115\n"
            "128      25.790  26.311\n"
            "change from a context of 64, with its 95% interval over documents\n"
            "context                       full                        hyb\n"
            "128      -22.12% (-36.58 to -4.36)  -20.55% (-35.03 to -2.83)\n"
            "difference to full, with its 95% interval over documents\n"
            "context                      hyb\n"
            "64                         0.00%\n"
            "128      +2.02% (+1.60 to +2.44)\n");
}

TEST_F(Report, TextSaysThatOneDocumentHasNoInterval) {
  const std::string text =
      perplexity_text({{"full", some_buckets(1, 2.0)}, {"hyb", some_buckets(1, 2.5)}});
  EXPECT_TRUE(contains(text, "\ndifference to full (no interval: one document)\n"));
  EXPECT_TRUE(contains(text, "\nall          +64.87%\n"));  // exp(0.5)
}

TEST_F(Report, PageOfPerplexityHasFiguresDifferencesAndContexts) {
  const std::string html = html_page(perplexity_page(compared_models(0.02)));
  for (const char* part :
       {"<title>Perplexity of full and hyb</title>", "full has a perplexity of 33.115 on 1,200 ",
        "hyb is 1.34% higher (95% interval +1.07 to +1.62).",
        "<td>+2.02%<small>+1.60 to +2.44</small></td>",
        "<title>hyb, 300: +2.02% (+1.60% to +2.44%)</title>", "What context buys",
        "The last 16 tokens of each document"}) {
    EXPECT_TRUE(contains(html, part));
  }
}

TEST_F(Report, OneDocumentHasNoInterval) {
  write_perplexity_report({{"m", some_buckets(1, 2.0)}}, options("one"));
  const Json json = json_of("one");
  EXPECT_TRUE(json["models"][0]["overall"]["mean_nll_interval"].is_null());
  EXPECT_TRUE(contains(text_of("one.svg"), "1 document)"));
  EXPECT_FALSE(contains(text_of("one.gp"), "filledcurves"));
  EXPECT_TRUE(contains(text_of("one.dat"), "\n0 1024 7.38943 NaN NaN\n"));
  EXPECT_TRUE(lines_of(text_of("one.csv"))[1].starts_with("m,0,1024,1,1,2.00005,,,7.38943,,"));
}

TEST_F(Report, EmptyBucketsAndInfinitePerplexityAreLeftOpen) {
  PositionBuckets gaps(doubling_edges(1024, 8192));
  gaps.add(10, -3.0);
  gaps.add(5000, -800.0);  // exp(800) is beyond a double
  gaps.end_document();
  const std::vector<ModelPerplexity> models = {
      {"nothing", PositionBuckets({0, 10})}, {"gaps", gaps}, {"good", some_buckets(2, 3)}};
  expect_all_files(write_perplexity_report(models, options("gaps")), "gaps");
  const Json json = json_of("gaps");
  EXPECT_TRUE(json["models"][0]["overall"]["perplexity"].is_null());
  EXPECT_TRUE(json["models"][1]["buckets"][1]["mean_nll"].is_null());
  EXPECT_TRUE(json["models"][1]["buckets"][3]["perplexity"].is_null());
  EXPECT_DOUBLE_EQ(json["models"][1]["buckets"][3]["mean_nll"], 800);
  EXPECT_EQ(lines_of(text_of("gaps.csv"))[5], "gaps,4096,8192,1,1,800,,,,,,,,");
}

TEST_F(Report, LevelLinesAndSingleBucketsAreDrawn) {
  PositionBuckets level(uniform_edges(100, 700));
  level.add(0, std::vector<float>(700, -1.0f));
  level.end_document();
  expect_all_files(write_perplexity_report({{"level", level}}, options("level")), "level");
  PositionBuckets perfect({0, 1});
  perfect.add(0, 0.0);
  perfect.end_document();
  ReportOptions single = options("single");
  single.folder = dir_ / "single";
  EXPECT_EQ(write_perplexity_report({{"perfect", perfect}}, single).picture_problem, "");
}

TEST_F(Report, WideRangesAreDrawnOnALogarithmicAxis) {
  write_perplexity_report({{"low", some_buckets(1, 2)}, {"high", some_buckets(1, 7)}},
                          options("log"));
  EXPECT_TRUE(contains(text_of("log.gp"), "set logscale y"));
  // Up to the largest perplexity there is.
  const ReportFiles huge = write_perplexity_report(
      {{"low", some_buckets(1, 2)}, {"huge", some_buckets(1, 700)}}, options("huge"));
  EXPECT_EQ(huge.picture_problem, "");
  write_perplexity_report({{"low", some_buckets(1, 2)}, {"near", some_buckets(1, 2.5)}},
                          options("linear"));
  EXPECT_FALSE(contains(text_of("linear.gp"), "set logscale y"));
}

/// The ends of `set yrange [LOW:HIGH]` in a script.
Interval y_range(const std::string& script) {
  const std::string start = "set yrange [";
  const size_t low = script.find(start) + start.size(), high = script.find(':', low) + 1;
  return {std::stod(script.substr(low)), std::stod(script.substr(high))};
}

TEST_F(Report, TheWholeBandIsInThePicture) {
  const PositionBuckets few = some_buckets(2, 1.5);  // 1.96 standard errors on either side
  write_perplexity_report({{"few", few}}, options("few"));
  const Interval shown = y_range(text_of("few.gp"));
  for (int64_t i = 0; i < few.num_buckets(); ++i) {
    EXPECT_LT(shown.low, few.bucket(i).perplexity_interval->low);
    EXPECT_GT(shown.high, few.bucket(i).perplexity_interval->high);
  }
  EXPECT_LT(shown.low, 4.4);  // the lines alone span 4.7 to 5.2
  EXPECT_TRUE(contains(text_of("few.gp"), "filledcurves"));
}

TEST_F(Report, BandsThatNoAxisCanShowAreLeftOut) {
  PositionBuckets far(doubling_edges(1024, 2048));
  for (const double nll : {0.1, 700.0}) {  // exp() of the interval's ends is 0 and infinite
    far.add(5, -nll);
    far.add(1500, -2 - 0.001 * nll);
    far.end_document();
  }
  EXPECT_EQ(write_perplexity_report({{"far", far}}, options("far")).picture_problem, "");
  EXPECT_TRUE(contains(text_of("far.dat"), " NaN NaN\n1024 2048 "));
  EXPECT_EQ(count_of(text_of("far.dat"), "NaN"), 2);
}

TEST_F(Report, PrintedJsonIsThatOfTheFile) {
  const std::vector<ModelPerplexity> models = {{"m", some_buckets(3, 2.0)}};
  ReportOptions ppl = options("ppl");
  write_perplexity_report(models, ppl);
  EXPECT_EQ(text_of("ppl.json"), dump_json(perplexity_json(models, ppl.settings), 2) + "\n");
  const NeedleGrid grid{"m", "noise", {{1024, 50, 1, 2}}, {{1024, 0, 50, "42", "is 42", true}}};
  ReportOptions needle = options("needle");
  write_needle_report(grid, needle);
  EXPECT_EQ(text_of("needle.json"), dump_json(needle_json(grid, needle.settings), 2) + "\n");
  EXPECT_EQ(json_of("needle")["replies"][0]["reply"], "is 42");
}

TEST_F(Report, HostileNamesStayNames) {
  OrderedJson settings;
  settings["file"] = kHostile;
  ReportOptions ppl = options("hostile");
  ppl.settings = settings;
  const std::vector<ModelPerplexity> models = {{kHostile, some_buckets(3, 2.0)},
                                               {"", some_buckets(3, 2.1)},
                                               {"'", some_buckets(3, 2.2)},
                                               {std::string(5000, 'x'), some_buckets(3, 2.3)}};
  expect_all_files(write_perplexity_report(models, ppl), "hostile");
  EXPECT_TRUE(contains(text_of("hostile.svg"), "a_b^c {x}"));  // as it stands, no markup
  EXPECT_TRUE(contains(text_of("hostile.svg"), "@GPVAL_PI %s %d $HOME"));
  const Json json = json_of("hostile");
  const std::string name = json["models"][0]["model"];
  EXPECT_TRUE(name.starts_with("a_b^c {x} 'q' \"d\", @GPVAL_PI"));
  EXPECT_TRUE(contains(text_of("hostile.csv"), "\"a_b^c {x} 'q' \"\"d\"\", @GPVAL_PI"));

  ReportOptions needle = options("hostile");
  needle.folder = dir_ / "needle";
  const NeedleGrid grid{kHostile, kHostile, {{1024, 50, 1, 2}}};
  EXPECT_EQ(write_needle_report(grid, needle).picture_problem, "");
  EXPECT_TRUE(is_clean_svg(read_file(dir_ / "needle" / "hostile.svg")));
  EXPECT_FALSE(fs::exists("ran"));
  EXPECT_FALSE(fs::exists(dir_ / "needle" / "ran"));
}

TEST_F(Report, NeedleIsWrittenInEveryForm) {
  NeedleGrid grid{"m", "noise", {}};
  for (const int64_t length : {8192, 4096}) {
    for (const double depth : {100.0, 0.0, 50.0}) {
      grid.cells.push_back(
          {length, depth, length == 4096 ? 20 : static_cast<int64_t>(depth / 10), 20});
    }
  }
  expect_all_files(write_needle_report(grid, options("needle")), "needle");
  const Json json = json_of("needle");
  EXPECT_EQ(json["overall"]["found"], 75);
  EXPECT_EQ(json["overall"]["samples"], 120);
  ASSERT_EQ(json["cells"].size(), 6u);
  EXPECT_EQ(json["cells"][4]["length"], 8192);
  EXPECT_EQ(json["cells"][4]["depth_percent"], 50);
  EXPECT_EQ(json["cells"][4]["share"], 0.25);
  EXPECT_DOUBLE_EQ(json["cells"][4]["interval"][0], wilson_interval(5, 20).low);
  const auto csv = lines_of(text_of("needle.csv"));
  EXPECT_EQ(csv[0], "model,haystack,length,depth_percent,found,samples,share,share_low,share_high");
  EXPECT_EQ(csv[1], "m,noise,4096,0,20,20,1,0.838875,1");
  EXPECT_TRUE(contains(text_of("needle.svg"), "n = 20 per cell"));
  EXPECT_EQ(count_of(text_of("needle.svg"), ">100%<"), 5);  // cells, colour bar, depth
  EXPECT_TRUE(contains(text_of("needle.dat"), "\n1 1 25 25% 16777215 8192 50\n"));
}

/// A grid of one length and two depths, in which these samples were found.
NeedleGrid grid_of(const std::string& model, const std::vector<bool>& found) {
  NeedleGrid grid{model, "noise", {{4096, 0, 0, 0}, {4096, 100, 0, 0}}};
  for (size_t i = 0; i < found.size(); ++i) {
    NeedleCell& cell = grid.cells[i % 2];
    ++cell.num_samples;
    cell.num_found += found[i] ? 1 : 0;
    const auto index = static_cast<int64_t>(i / 2);
    grid.replies.push_back({4096, index, cell.depth_percent, "42", "", found[i]});
  }
  return grid;
}

TEST_F(Report, NeedlesOfTwoModelsAreComparedInPairs) {
  const NeedleGrid first = grid_of("full", {true, true, true, false});
  NeedleGrid grid = grid_of("hyb", {true, false, false, false});
  const OrderedJson json = needle_json(grid, {}, &first);
  EXPECT_EQ(json["difference"]["to"], "full");
  EXPECT_EQ(json["difference"]["overall"]["samples"], 4);
  EXPECT_EQ(json["difference"]["overall"]["share"], -0.5);
  // Bonett and Price: (0 + 1) / 6 - (2 + 1) / 6 +- 1.959964 sqrt((4 / 6 - (2 / 6)^2) / 6).
  const double half = 1.959963984540054 * std::sqrt((4.0 / 6 - 1.0 / 9) / 6);
  EXPECT_NEAR(json["difference"]["overall"]["interval"][1], -1.0 / 3 + half, 1e-12);
  EXPECT_EQ(json["difference"]["lengths"][0]["difference"]["share"], -0.5);
  EXPECT_EQ(needle_difference_text(first, grid),
            "hyb: difference to full in percentage points, with its 95% interval over samples\n"
            "length                  points\n"
            "4K      -50.0 (-93.0 to +26.3)\n"
            "all     -50.0 (-93.0 to +26.3)\n");
  grid.replies[0].answer = "43";  // another needle
  EXPECT_EQ(needle_difference(first, grid).num_items, 3);
  EXPECT_EQ(needle_difference(first, grid, 8192).num_items, 0);
}

TEST_F(Report, PageOfNeedlesHasMapsSharesAndDifferences) {
  const std::string html = html_page(needle_page(
      {grid_of("full", {true, true, true, false}), grid_of("hyb", {true, false, false, false})}));
  for (const char* part :
       {"full finds 3 of 4 needles in noise haystacks. hyb finds 1 of 4: -50.0 points (95% ",
        "<figcaption>full: 3 of 4</figcaption>",
        "<title>hyb at 100% of 4,096 tokens: 0 of 2</title>",
        "<td>1 of 4<small>5% to 70%</small></td>",
        "<td>-50.0 points<small>-93.0 to +26.3</small></td>"}) {
    EXPECT_TRUE(contains(html, part));
  }
}

TEST_F(Report, SharesNearTheEndsAreNotRoundedToThem) {
  const NeedleGrid grid{"m", "noise", {{1024, 0, 999, 1000}, {1024, 50, 1, 1000}, {2048, 0, 7, 7}}};
  write_needle_report(grid, options("ends"));
  const std::string data = text_of("ends.dat");
  EXPECT_TRUE(contains(data, " 99% "));
  EXPECT_TRUE(contains(data, " 1% "));
  EXPECT_EQ(count_of(data, " 100% "), 1);
  EXPECT_TRUE(contains(text_of("ends.svg"), "n = 7 to 1000 per cell"));
}

TEST_F(Report, RefusesBadCells) {
  const auto write = [&](std::vector<NeedleCell> cells) {
    return [this, cells] { write_needle_report({"m", "noise", cells}, options("bad")); };
  };
  EXPECT_TRUE(fails_with(write({}), "expected at least one cell"));
  EXPECT_TRUE(fails_with(write({{1024, 50, 3, 2}}), "found 3 of 2"));
  EXPECT_TRUE(fails_with(write({{1024, 50, 0, 0}}), "found 0 of 0"));
  EXPECT_TRUE(fails_with(write({{1024, 50, -1, 5}}), "found -1 of 5"));
  EXPECT_TRUE(fails_with(write({{0, 50, 1, 5}}), "length of at least 1"));
  EXPECT_TRUE(fails_with(write({{10, std::nan(""), 1, 5}}), "depth of 0 to 100"));
  EXPECT_TRUE(fails_with(write({{10, 50, 1, 5}, {10, 50, 2, 5}}),
                         "cell of length 10 and depth 50%: expected each cell once"));
  std::vector<NeedleCell> many;
  for (int64_t i = 1; i <= 101; ++i) many.push_back({i, 0, 1, 1});
  EXPECT_TRUE(fails_with(write(many), "at most 100 lengths and depths, found 101 and 1"));
  EXPECT_FALSE(fs::exists(dir_ / "out"));
}

TEST_F(Report, RefusesBadNamesAndNothingToReport) {
  for (const std::string name : {"", ".hidden", "a/b", "a b", "a'b", "..", "é"}) {
    EXPECT_TRUE(fails_with(
        [&] {
          write_perplexity_report({{"m", some_buckets(1, 2)}}, options(name));
        },
        "[report] name: expected 1 to 100 letters"));
  }
  EXPECT_TRUE(fails_with([&] { write_perplexity_report({}, options("p")); },
                         "expected at least one model"));
  PositionBuckets open({0, 4});
  open.add(1, -1.0);
  EXPECT_TRUE(fails_with(
      [&] {
        write_perplexity_report({{"m", open}}, options("p"));
      },
      "Call end_document() after each document"));
}

TEST_F(Report, EverythingButPicturesIsWrittenWithoutGnuplot) {
  ReportOptions options = this->options("nopic");
  options.gnuplot = "gnuplot-that-nobody-has";
  ::testing::internal::CaptureStderr();
  const ReportFiles result = write_needle_report({"m", "noise", {{1024, 50, 1, 2}}}, options);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_TRUE(contains(said, "warning: the pictures nopic.svg and nopic.png were not drawn"));
  EXPECT_TRUE(contains(result.picture_problem, "Install the Debian package gnuplot-nox"));
  EXPECT_EQ(result.files.size(), 4u);
  for (const auto& file : result.files) EXPECT_TRUE(fs::exists(file)) << file;
}

TEST_F(Report, SaysWhenTheFolderCannotBeWritten) {
  write_file(dir_ / "out", "a file");
  EXPECT_TRUE(fails_with(
      [&] {
        write_needle_report({"m", "noise", {{1024, 50, 1, 2}}}, options("x"));
      },
      "cannot be created"));
}

}  // namespace
}  // namespace longgen
