#include "longgen/measure/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "longgen/base/log.h"
#include "longgen/base/units.h"
#include "longgen/model/layer_plan.h"
#include "longgen/plan/table.h"
#include "longgen/report/gnuplot.h"
#include "longgen/report/table.h"

namespace longgen {
namespace {

/// What a variant loses, in the units that people read.
struct Loss {
  double perplexity_percent, kl, answers, lost;
};

Loss loss_of(const VariantValues& variant, const LayerChoice& choice) {
  return {100 * perplexity_over(variant, choice.full), variant.far_kl(),
          choice.full.logprob_of_answers() - variant.logprob_of_answers(),
          choice.shares().lost(variant)};
}

std::vector<std::string> cells(const VariantValues& variant, const LayerChoice& choice) {
  const Loss loss = loss_of(variant, choice);
  return {fmt::format("{:+.2f}%", loss.perplexity_percent), fmt::format("{:.5f}", loss.kl),
          fmt::format("{:.3f}", loss.answers),
          fmt::format("{} of {}", variant.num_right, variant.num_answers),
          fmt::format("{:.1f}%", 100 * loss.lost)};
}

bool is_by_head(const MeasureReport& report) { return report.per_layer > 1; }

/// Writes a unit as "18", or as "18.2": KV head 2 of layer 18.
std::string unit_name(int64_t unit, const MeasureReport& report) {
  if (!is_by_head(report)) return std::to_string(unit);
  return fmt::format("{}.{}", unit / report.per_layer, unit % report.per_layer);
}

OrderedJson unit_json(int64_t unit, const MeasureReport& report) {
  if (!is_by_head(report)) return {{"layer", unit}};
  return {{"layer", unit / report.per_layer}, {"kv_head", unit % report.per_layer}};
}

using Rows = std::vector<std::vector<std::string>>;

Rows heading(const std::string& first) {
  return {{first, "perplexity", "KL", "answers", "right", "lost"}};
}

void add_row(Rows& rows, std::string name, const VariantValues& variant,
             const LayerChoice& choice) {
  rows.push_back({std::move(name)});
  for (std::string& cell : cells(variant, choice)) rows.back().push_back(std::move(cell));
}

std::string effects_table(const MeasureReport& report) {
  Rows rows = heading(is_by_head(report) ? "KV head" : "layer");
  for (const LayerEffect& effect : report.choice.sorted_effects()) {
    add_row(rows, unit_name(effect.layer, report), effect.alone, report.choice);
  }
  return format_table(rows);
}

/// Counts the effects that hold nine tenths of the sum of all.
int64_t num_that_matter(std::vector<double> losses) {
  constexpr double kShare = 0.9;
  std::sort(losses.begin(), losses.end(), std::greater<>());
  double total = 0, sum = 0;
  for (const double loss : losses) total += std::max(0.0, loss);
  int64_t count = 0;
  for (const double loss : losses) {
    if (sum >= kShare * total) break;
    sum += loss;
    ++count;
  }
  return count;
}

std::string concentration_text(const MeasureReport& report) {
  std::vector<double> kl, answers;
  for (const LayerEffect& effect : report.choice.effects) {
    const Loss loss = loss_of(effect.alone, report.choice);
    kl.push_back(loss.kl);
    answers.push_back(loss.answers);
  }
  return fmt::format("\nOf {} {}, {} hold nine tenths of the KL, {} of what answers lose.\n",
                     kl.size(), is_by_head(report) ? "KV heads" : "layers", num_that_matter(kl),
                     num_that_matter(answers));
}

std::string order_table(const MeasureReport& report) {
  const LayerChoice& choice = report.choice;
  Rows rows = heading(is_by_head(report) ? "full KV heads" : "full layers");
  add_row(rows, "none", choice.sparse, choice);
  for (size_t i = 0; i < choice.order.size(); ++i) {
    const auto count = static_cast<int64_t>(i) + 1;
    add_row(rows,
            fmt::format("{}{}, with {}", count == choice.num_full ? "* " : "", count,
                        unit_name(choice.order[i].layer, report)),
            choice.order[i].values, choice);
  }
  add_row(rows, "all", choice.full, choice);
  return format_table(rows);
}

OrderedJson means_json(const VariantValues& values, const LayerChoice& choice) {
  const Loss loss = loss_of(values, choice);
  return {{"nll", values.far_nll()},
          {"perplexity_over_full", loss.perplexity_percent / 100},
          {"kl", loss.kl},
          {"answer_logprob", values.logprob_of_answers()},
          {"answers_lost", loss.answers},
          {"right", values.num_right},
          {"answers", values.num_answers},
          {"lost", loss.lost}};
}

/// Adds what stands by position to the means.
OrderedJson variant_json(const VariantValues& values, const MeasureReport& report) {
  OrderedJson json = means_json(values, report.choice);
  OrderedJson ranges = OrderedJson::array();
  for (size_t i = 0; i < values.ranges.size(); ++i) {
    const FarTextSums& range = values.ranges[i];
    const FarTextSums& full = report.choice.full.ranges[i];
    const auto mean = [](double sum, int64_t count) {
      return count > 0 ? OrderedJson(sum / static_cast<double>(count)) : OrderedJson(nullptr);
    };
    ranges.push_back({{"begin", report.edges[i]},
                      {"end", report.edges[i + 1]},
                      {"tokens", range.num_tokens},
                      {"nll", mean(range.nll, range.num_tokens)},
                      {"nll_over_full", mean(range.nll - full.nll, range.num_tokens)},
                      {"kl", mean(range.kl, range.num_tokens)}});
  }
  json["positions"] = ranges;
  return json;
}

bool is_chosen(const LayerChoice& choice, int64_t layer) {
  const LayerSet chosen = choice.full_layers();
  return std::binary_search(chosen.begin(), chosen.end(), layer);
}

Table effects_csv(const MeasureReport& report) {
  const LayerChoice& choice = report.choice;
  Table table;
  table.columns = {is_by_head(report) ? "kv_head" : "layer",
                   "chosen",
                   "perplexity_over_full",
                   "kl",
                   "answers_lost",
                   "right",
                   "answers",
                   "lost"};
  for (const LayerEffect& effect : choice.effects) {
    const Loss loss = loss_of(effect.alone, choice);
    table.rows.push_back(
        {unit_name(effect.layer, report), is_chosen(choice, effect.layer) ? "1" : "0",
         fmt::format("{:.6g}", loss.perplexity_percent / 100), fmt::format("{:.6g}", loss.kl),
         fmt::format("{:.6g}", loss.answers), std::to_string(effect.alone.num_right),
         std::to_string(effect.alone.num_answers), fmt::format("{:.6g}", loss.lost)});
  }
  return table;
}

constexpr const char* kPicture = "measure";

/// Writes one line a unit: its number, KL, what answers lose, whether it is chosen. Units of one
/// layer stand side by side at its number.
std::string picture_data(const MeasureReport& report) {
  const LayerChoice& choice = report.choice;
  std::string data = "# layer kl answers_lost chosen\n";
  for (const LayerEffect& effect : choice.effects) {
    const Loss loss = loss_of(effect.alone, choice);
    const double place =
        (static_cast<double>(effect.layer) + 0.5) / static_cast<double>(report.per_layer) - 0.5;
    data += fmt::format("{:.6g} {:.6g} {:.6g} {}\n", place, loss.kl, loss.answers,
                        is_chosen(choice, effect.layer) ? 1 : 0);
  }
  return data;
}

std::string picture_script(const MeasureReport& report) {
  const auto bars = [](const char* title, int column) {
    return fmt::format(
        "set title '{0}'\n"
        "plot '{1}.dat' using 1:($4 == 0 ? ${2} : 0) with boxes lc rgb '#B0B0B0' title 'sparse in "
        "the plan', '{1}.dat' using 1:($4 == 1 ? ${2} : 0) with boxes lc rgb '#0072B2' title 'full "
        "in the plan'\n",
        title, kPicture, column);
  };
  const std::string body =
      fmt::format(
          "set multiplot layout 2,1\n"
          "set style fill solid noborder\n"
          "set boxwidth {:.6g}\n"
          "set xrange [-0.7:{:.6g}]\n"
          "set xtics 0,{} nomirror out\n"
          "set ytics nomirror\n"
          "set yrange [0:*]\n"
          "set border 3\n"
          "set key outside center bottom horizontal\n"
          "set lmargin 12\n"
          "set xlabel '{}'\n"
          "set ylabel 'nats a token'\n",
          0.8 / static_cast<double>(report.per_layer), static_cast<double>(report.num_layers) - 0.3,
          1 + report.num_layers / 20,
          is_by_head(report) ? "layer of the KV head that is sparse, all others full"
                             : "layer that is sparse, all others full") +
      bars("What far text loses: KL to the full model", 2) +
      bars("What answers to recall questions lose: log-probability", 3) + "unset multiplot\n";
  constexpr int64_t kWidth = 960, kHeight = 720;
  return gnuplot_script(kPicture, kWidth, kHeight, body);
}

}  // namespace

OrderedJson order_json(const MeasureReport& report) {
  OrderedJson order = OrderedJson::array();
  for (const ChoiceStep& step : report.choice.order) {
    OrderedJson json = unit_json(step.layer, report);
    json.update(means_json(step.values, report.choice));
    order.push_back(json);
  }
  return order;
}

std::string to_text(const MeasureReport& report) {
  const LayerChoice& choice = report.choice;
  const char* const unit = is_by_head(report) ? "KV head" : "layer";
  std::string text = fmt::format(
      "With every layer full: perplexity {:.2f} of text beyond the window, answers {:.3f} nats a\n"
      "token, {} of {} right.\n\n",
      std::exp(choice.full.far_nll()), choice.full.logprob_of_answers(), choice.full.num_right,
      choice.full.num_answers);
  text += fmt::format(
      "One {} sparse ({}), all others full. What that loses: perplexity and KL of text\n"
      "beyond the window, answers (nats a token) to questions about facts in the text, and the\n"
      "mean of KL and answers as a share of what is lost with every layer sparse.\n\n",
      unit, report.sparse);
  text += effects_table(report) + concentration_text(report);
  text += fmt::format(
      "\nStaying full together, all others sparse; each line adds one {} to those "
      "above it.\n\n",
      unit);
  text += order_table(report) + "\nplan (*): ";
  if (!is_by_head(report))
    return text + format_layers(choice.full_layers(), report.num_layers) + "\n";
  for (const int64_t head : choice.full_layers()) text += unit_name(head, report) + " ";
  text.back() = '\n';
  return text;
}

OrderedJson to_json(const MeasureReport& report) {
  const LayerChoice& choice = report.choice;
  OrderedJson layers = OrderedJson::array();
  for (const LayerEffect& effect : choice.effects) {
    OrderedJson json = unit_json(effect.layer, report);
    json["chosen"] = is_chosen(choice, effect.layer);
    json.update(variant_json(effect.alone, report));
    layers.push_back(json);
  }
  OrderedJson chosen = choice.full_layers();
  if (is_by_head(report)) {
    chosen = OrderedJson::array();
    for (const int64_t head : choice.full_layers()) chosen.push_back(unit_json(head, report));
  }
  return {{"report", "layers that need to see everything"},
          {"settings", report.settings},
          {"unit", "nll, kl, answer_logprob and what they lose: nats a token"},
          {"sparse", report.sparse},
          {"answers_count", choice.shares().answers_count()},
          {"full", variant_json(choice.full, report)},
          {"all_sparse", variant_json(choice.sparse, report)},
          {is_by_head(report) ? "kv_heads" : "layers", layers},
          {"order", order_json(report)},
          {is_by_head(report) ? "full_kv_heads" : "full_layers", chosen}};
}

void write_measurement(const MeasureReport& report, const fs::path& folder) {
  write_file(folder / "measurement.json", dump_json(to_json(report), 2) + "\n");
  write_file(folder / (is_by_head(report) ? "heads.csv" : "layers.csv"),
             to_csv(effects_csv(report)));
  write_file(folder / (std::string(kPicture) + ".dat"), picture_data(report));
  write_file(folder / (std::string(kPicture) + ".gp"), picture_script(report));
  const std::string problem = run_gnuplot("gnuplot", folder, kPicture);
  if (!problem.empty()) log_warning(problem);
}

}  // namespace longgen
