#include "longgen/measure/report_page.h"

#include <fmt/format.h>

#include <algorithm>

#include "longgen/base/units.h"
#include "longgen/model/layer_plan.h"
#include "longgen/report/svg_chart.h"

namespace longgen {
namespace {

constexpr const char* kTextLabel = "KL (nats a token)";
constexpr const char* kAnswersLabel = "answers (nats a token)";
constexpr const char* kWhatIsWhat =
    "Perplexity and KL are those of text whose context exceeds window and sink, against the model "
    "with every layer full. Answers: by how much less probable the tokens of answers become, to "
    "questions about facts that stand farther away. Right: questions of whose answer every token "
    "was the most probable one. Lost: the mean of the shares of KL and of answers that the model "
    "loses with every layer sparse. Gates, where asked for: the part in that loss that one pass "
    "back through gates gives each.";

std::string percent_text(double share, int digits) {
  return fmt::format("{:.{}f}%", 100 * share, digits);
}

std::vector<PageCell> cells_of(std::string name, const VariantValues& variant,
                               const MeasureReport& report) {
  const VariantLoss loss = report.loss_of(variant);
  return {{std::move(name)},
          {fmt::format("{:+.2f}%", 100 * loss.perplexity)},
          {fmt::format("{:.5f}", loss.kl)},
          {fmt::format("{:.3f}", loss.answers)},
          {fmt::format("{} of {}", variant.num_right, variant.num_answers)},
          {percent_text(loss.lost, 1)}};
}

PageTable table_of(std::string caption, std::string first) {
  return {.caption = std::move(caption),
          .columns = {std::move(first), "perplexity", "KL", "answers", "right", "lost"},
          .rows = {}};
}

/// Adds a variant to the two measures that charts show.
void add_bars(BarChart& chart, std::string name, const VariantLoss& loss, bool marked) {
  chart.categories.push_back(std::move(name));
  chart.measures[0].values.push_back(loss.kl);
  chart.measures[1].values.push_back(loss.answers);
  chart.marked.push_back(marked);
}

BarChart bar_chart(std::string title, std::string x_label) {
  return {.title = std::move(title),
          .x_label = std::move(x_label),
          .categories = {},
          .measures = {{kTextLabel, {}}, {kAnswersLabel, {}}},
          .marked = {},
          .marked_label = "full in the plan",
          .plain_label = "sparse in the plan"};
}

PageChart layer_bars(const MeasureReport& report) {
  BarChart chart = bar_chart("What is lost with one layer sparse, by layer",
                             "the layer that is sparse, all others full");
  for (const LayerEffect& effect : report.choice.effects) {
    add_bars(chart, report.unit_name(effect.layer), report.loss_of(effect.alone),
             report.is_chosen(effect.layer));
  }
  return {chart.title, svg_chart(chart)};
}

/// Draws what a KV head loses alone as the share of what is lost with every layer sparse, with the
/// head that loses most as the brightest.
PageChart head_map(const MeasureReport& report) {
  HeatMap map{.title = "What is lost with one KV head sparse, in per cent of all that can be lost",
              .x_label = "KV head",
              .y_label = "layer",
              .columns = {},
              .rows = {},
              .cells = {}};
  double most = 0;
  for (const LayerEffect& effect : report.choice.effects) {
    most = std::max(most, report.loss_of(effect.alone).lost);
  }
  for (int64_t head = 0; head < report.per_layer; ++head) {
    map.columns.push_back(std::to_string(head));
  }
  for (const LayerEffect& effect : report.choice.effects) {
    if (effect.layer % report.per_layer == 0) {
      map.rows.push_back(std::to_string(effect.layer / report.per_layer));
      map.cells.emplace_back();
    }
    const VariantLoss loss = report.loss_of(effect.alone);
    map.cells.back().push_back(HeatCell{
        most > 0 ? loss.lost / most : 0, fmt::format("{:.0f}", 100 * loss.lost),
        fmt::format("{}: KL {:.5f}, answers {:.3f} nats a token{}", report.unit_name(effect.layer),
                    loss.kl, loss.answers, report.is_chosen(effect.layer) ? ", stays full" : "")});
  }
  return {map.title, svg_chart(map)};
}

PageSection alone_section(const MeasureReport& report) {
  const std::string unit = report.unit();
  PageTable table = table_of("One " + unit + " sparse, all others full", unit);
  for (const LayerEffect& effect : report.choice.sorted_effects()) {
    table.rows.push_back(cells_of(report.unit_name(effect.layer), effect.alone, report));
    if (report.gates) {
      table.rows.back().push_back({percent_text(report.gates->lost.at(effect.layer), 1)});
    }
  }
  if (report.gates) table.columns.push_back("gates");
  return {"Each " + unit + " alone",
          {PageText{concentration_text(report) + " " + gates_text(report)},
           report.by_head() ? head_map(report) : layer_bars(report), std::move(table),
           PageText{kWhatIsWhat}}};
}

PageSection together_section(const MeasureReport& report) {
  const LayerChoice& choice = report.choice;
  const std::string unit = report.unit();
  BarChart chart = bar_chart("What is lost as full " + unit + "s are added, all others sparse",
                             "the " + unit + " that stays full together with those on its left");
  chart.plain_label = "not in the plan";
  PageTable table = table_of("Staying full together, all others sparse", "full " + unit + "s");
  add_bars(chart, "none", report.loss_of(choice.sparse), false);
  table.rows.push_back(cells_of("none", choice.sparse, report));
  for (size_t i = 0; i < choice.order.size(); ++i) {
    const ChoiceStep& step = choice.order[i];
    const std::string name = report.unit_name(step.layer);
    add_bars(chart, name, report.loss_of(step.values), static_cast<int64_t>(i) < choice.num_full);
    table.rows.push_back(cells_of(fmt::format("{}, with {}", i + 1, name), step.values, report));
  }
  table.rows.push_back(cells_of("all", choice.full, report));
  return {"Together",
          {PageText{fmt::format("From left to right one {0} more stays full. The order was found "
                                "from its other end: of the {0}s that lose most alone, the one is "
                                "made sparse without which the model loses least, and so on.",
                                unit)},
           PageChart{chart.title, svg_chart(chart)}, std::move(table)}};
}

std::string summary_of(const MeasureReport& report) {
  const LayerChoice& choice = report.choice;
  std::string full;
  if (report.by_head()) {
    for (const int64_t head : choice.full_layers()) {
      full += (full.empty() ? "" : ", ") + report.unit_name(head);
    }
  } else {
    full = format_layers(choice.full_layers(), report.num_layers);
  }
  const VariantLoss loss =
      report.loss_of(choice.order.at(static_cast<size_t>(choice.num_full) - 1).values);
  return fmt::format(
      "With {}s {} full and all others seeing {}, the model loses {} of what it loses with every "
      "layer sparse: {:.5f} nats a token (KL) of far text, {}.",
      report.unit(), full, report.sparse, percent_text(loss.lost, 1), loss.kl,
      choice.shares().answers_count()
          ? fmt::format("and {:.3f} of answers about far facts", loss.answers)
          : "which alone counts: the full model cannot answer the questions, either");
}

std::vector<std::pair<std::string, std::string>> facts_of(const MeasureReport& report) {
  std::vector<std::pair<std::string, std::string>> facts;
  for (const auto& [name, value] : report.settings.items()) {
    std::string text;
    if (value.is_array()) {
      for (const auto& one : value) text += (text.empty() ? "" : "\n") + one.get<std::string>();
    } else {
      text = value.is_string() ? value.get<std::string>() : dump_json(value);
    }
    std::string words = name;
    std::replace(words.begin(), words.end(), '_', ' ');
    if (!text.empty()) facts.emplace_back(std::move(words), std::move(text));
  }
  return facts;
}

}  // namespace

ReportPage measure_page(const MeasureReport& report, const std::string& model_name) {
  return {.title = fmt::format("Which {}s of {} need to see everything", report.unit(), model_name),
          .summary = summary_of(report),
          .sections = {alone_section(report), together_section(report)},
          .facts = facts_of(report)};
}

}  // namespace longgen
