#include <fmt/format.h>

#include <cmath>

#include "longgen/measure/report.h"
#include "longgen/model/layer_plan.h"
#include "longgen/plan/table.h"

namespace longgen {
namespace {

std::vector<std::string> cells(const VariantValues& variant, const MeasureReport& report) {
  const VariantLoss loss = report.loss_of(variant);
  return {fmt::format("{:+.2f}%", 100 * loss.perplexity), fmt::format("{:.5f}", loss.kl),
          fmt::format("{:.3f}", loss.answers),
          fmt::format("{} of {}", variant.num_right, variant.num_answers),
          fmt::format("{:.1f}%", 100 * loss.lost)};
}

using Rows = std::vector<std::vector<std::string>>;

Rows heading(const std::string& first) {
  return {{first, "perplexity", "KL", "answers", "right", "lost"}};
}

/// Adds the column of the ranking by gates to rows of the report's effects, below a heading.
void add_gates(Rows& rows, const std::vector<LayerEffect>& effects, const GateRanking& gates) {
  rows.front().push_back("gates");
  for (size_t i = 0; i < effects.size(); ++i) {
    rows[i + 1].push_back(fmt::format("{:.1f}%", 100 * gates.lost.at(effects[i].layer)));
  }
}

void add_row(Rows& rows, std::string name, const VariantValues& variant,
             const MeasureReport& report) {
  rows.push_back({std::move(name)});
  for (std::string& cell : cells(variant, report)) rows.back().push_back(std::move(cell));
}

std::string effects_table(const MeasureReport& report) {
  Rows rows = heading(report.unit());
  const std::vector<LayerEffect> effects = report.choice.sorted_effects();
  for (const LayerEffect& effect : effects) {
    add_row(rows, report.unit_name(effect.layer), effect.alone, report);
  }
  if (report.gates) add_gates(rows, effects, *report.gates);
  return format_table(rows);
}

std::string order_table(const MeasureReport& report) {
  const LayerChoice& choice = report.choice;
  Rows rows = heading(fmt::format("full {}s", report.unit()));
  add_row(rows, "none", choice.sparse, report);
  for (size_t i = 0; i < choice.order.size(); ++i) {
    const auto count = static_cast<int64_t>(i) + 1;
    add_row(rows,
            fmt::format("{}{}, with {}", count == choice.num_full ? "* " : "", count,
                        report.unit_name(report.choice.order[i].layer)),
            choice.order[i].values, report);
  }
  add_row(rows, "all", choice.full, report);
  return format_table(rows);
}

}  // namespace

std::string to_text(const MeasureReport& report) {
  const LayerChoice& choice = report.choice;
  const char* const unit = report.unit();
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
  text += effects_table(report) + "\n" + concentration_text(report) + "\n";
  if (report.gates) text += gates_text(report) + "\n";
  text += fmt::format(
      "\nStaying full together, all others sparse; each line adds one {} to those "
      "above it.\n\n",
      unit);
  text += order_table(report) + "\nplan (*): ";
  if (!report.by_head())
    return text + format_layers(choice.full_layers(), report.num_layers) + "\n";
  for (const int64_t head : choice.full_layers()) text += report.unit_name(head) + " ";
  text.back() = '\n';
  return text;
}

}  // namespace longgen
