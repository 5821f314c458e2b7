#include "longgen/measure/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "longgen/base/log.h"
#include "longgen/base/units.h"
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
  return {fmt::format("{:+.2f}%", loss.perplexity_percent), fmt::format("{:.4f}", loss.kl),
          fmt::format("{:.3f}", loss.answers),
          fmt::format("{} of {}", variant.num_right, variant.num_answers),
          fmt::format("{:.1f}%", 100 * loss.lost)};
}

/// Lists the effects, the layer first that loses most.
std::vector<LayerEffect> sorted_effects(const LayerChoice& choice) {
  std::vector<LayerEffect> effects = choice.effects;
  const LossShares shares = choice.shares();
  std::stable_sort(effects.begin(), effects.end(), [&](const auto& a, const auto& b) {
    return shares.lost(a.alone) > shares.lost(b.alone);
  });
  return effects;
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

std::string effects_table(const LayerChoice& choice) {
  Rows rows = heading("layer");
  for (const LayerEffect& effect : sorted_effects(choice)) {
    add_row(rows, std::to_string(effect.layer), effect.alone, choice);
  }
  return format_table(rows);
}

std::string order_table(const LayerChoice& choice) {
  Rows rows = heading("full layers");
  add_row(rows, "none", choice.sparse, choice);
  for (size_t i = 0; i < choice.order.size(); ++i) {
    const auto count = static_cast<int64_t>(i) + 1;
    add_row(rows,
            fmt::format("{}{}, with {}", count == choice.num_full ? "* " : "", count,
                        choice.order[i].layer),
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
                      {"kl", mean(range.kl, range.num_kl_tokens)}});
  }
  json["positions"] = ranges;
  return json;
}

bool is_chosen(const LayerChoice& choice, int64_t layer) {
  const LayerSet chosen = choice.full_layers();
  return std::binary_search(chosen.begin(), chosen.end(), layer);
}

Table layers_table(const LayerChoice& choice) {
  Table table{
      {"layer", "chosen", "perplexity_over_full", "kl", "answers_lost", "right", "answers", "lost"},
      {}};
  for (const LayerEffect& effect : choice.effects) {
    const Loss loss = loss_of(effect.alone, choice);
    table.rows.push_back(
        {std::to_string(effect.layer), is_chosen(choice, effect.layer) ? "1" : "0",
         fmt::format("{:.6g}", loss.perplexity_percent / 100), fmt::format("{:.6g}", loss.kl),
         fmt::format("{:.6g}", loss.answers), std::to_string(effect.alone.num_right),
         std::to_string(effect.alone.num_answers), fmt::format("{:.6g}", loss.lost)});
  }
  return table;
}

constexpr const char* kPicture = "measure";

/// Writes one line a layer: layer, KL, what answers lose, whether it is chosen.
std::string picture_data(const LayerChoice& choice) {
  std::string data = "# layer kl answers_lost chosen\n";
  for (const LayerEffect& effect : choice.effects) {
    const Loss loss = loss_of(effect.alone, choice);
    data += fmt::format("{} {:.6g} {:.6g} {}\n", effect.layer, loss.kl, loss.answers,
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
  const std::string body = fmt::format(
                               "set multiplot layout 2,1\n"
                               "set style fill solid noborder\n"
                               "set boxwidth 0.8\n"
                               "set xrange [-0.7:{}]\n"
                               "set xtics nomirror out\n"
                               "set ytics nomirror\n"
                               "set yrange [0:*]\n"
                               "set border 3\n"
                               "set key top right\n"
                               "set xlabel 'layer that is sparse, all others full'\n"
                               "set ylabel 'nats a token'\n",
                               static_cast<double>(report.num_layers) - 0.3) +
                           bars("What far text loses: KL to the full model", 2) +
                           bars("What answers to recall questions lose: log-probability", 3) +
                           "unset multiplot\n";
  constexpr int64_t kWidth = 960, kHeight = 720;
  return gnuplot_script(kPicture, kWidth, kHeight, body);
}

}  // namespace

OrderedJson order_json(const LayerChoice& choice) {
  OrderedJson order = OrderedJson::array();
  for (const ChoiceStep& step : choice.order) {
    OrderedJson json = {{"layer", step.layer}};
    json.update(means_json(step.values, choice));
    order.push_back(json);
  }
  return order;
}

std::string to_text(const MeasureReport& report) {
  const LayerChoice& choice = report.choice;
  std::string text = fmt::format(
      "One layer sparse ({}), all others full. What that loses: perplexity and KL of text beyond\n"
      "the window, answers (nats a token) to questions about facts in the text, and the mean of\n"
      "both as a share of what all layers sparse lose.\n\n",
      report.sparse);
  text += effects_table(choice);
  text +=
      "\nLayers that stay full together, all others sparse; each line adds one to those above.\n\n";
  text += order_table(choice);
  text += fmt::format("\nplan (*): {}\n", format_layers(choice.full_layers(), report.num_layers));
  return text;
}

OrderedJson to_json(const MeasureReport& report) {
  const LayerChoice& choice = report.choice;
  OrderedJson layers = OrderedJson::array();
  for (const LayerEffect& effect : choice.effects) {
    OrderedJson json = {{"layer", effect.layer}, {"chosen", is_chosen(choice, effect.layer)}};
    json.update(variant_json(effect.alone, report));
    layers.push_back(json);
  }
  return {{"report", "layers that need to see everything"},
          {"settings", report.settings},
          {"unit", "nll, kl, answer_logprob and what they lose: nats a token"},
          {"sparse", report.sparse},
          {"answers_count", choice.shares().answers_count()},
          {"full", variant_json(choice.full, report)},
          {"all_sparse", variant_json(choice.sparse, report)},
          {"layers", layers},
          {"order", order_json(choice)},
          {"full_layers", choice.full_layers()}};
}

void write_measurement(const MeasureReport& report, const MeasuredPlan& plan,
                       const fs::path& folder) {
  write_file(folder / "plan.json", dump_measured_plan(plan));
  write_file(folder / "measurement.json", dump_json(to_json(report), 2) + "\n");
  write_file(folder / "layers.csv", to_csv(layers_table(report.choice)));
  write_file(folder / (std::string(kPicture) + ".dat"), picture_data(report.choice));
  write_file(folder / (std::string(kPicture) + ".gp"), picture_script(report));
  const std::string problem = run_gnuplot("gnuplot", folder, kPicture);
  if (!problem.empty()) log_warning(problem);
}

}  // namespace longgen
