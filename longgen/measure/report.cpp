#include "longgen/measure/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "longgen/base/check.h"
#include "longgen/measure/sample.h"

namespace longgen {
namespace {

/// Counts the losses that hold nine tenths of the sum of all.
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

}  // namespace

std::string MeasureReport::unit_name(int64_t unit) const {
  if (!by_head()) return std::to_string(unit);
  return fmt::format("{}.{}", unit / per_layer, unit % per_layer);
}

bool MeasureReport::is_chosen(int64_t unit) const {
  const LayerSet chosen = choice.full_layers();
  return std::binary_search(chosen.begin(), chosen.end(), unit);
}

VariantLoss MeasureReport::loss_of(const VariantValues& variant) const {
  return {perplexity_over(variant, choice.full), variant.far_kl(),
          choice.full.logprob_of_answers() - variant.logprob_of_answers(),
          choice.shares().lost(variant)};
}

MeasureReport make_report(LayerChoice choice, const ModelConfig& model, const VariantUnits& units,
                          OrderedJson settings) {
  const auto length = settings.at("length").get<int64_t>();
  return {.choice = std::move(choice),
          .num_layers = model.num_layers,
          .per_layer = units.per_layer,
          .edges = far_text_edges(units.sparse, model.num_kv_heads, length),
          .sparse = units.sparse.to_string(),
          .settings = std::move(settings),
          .gates = {}};
}

std::string concentration_text(const MeasureReport& report) {
  std::vector<double> kl, answers;
  for (const LayerEffect& effect : report.choice.effects) {
    const VariantLoss loss = report.loss_of(effect.alone);
    kl.push_back(loss.kl);
    answers.push_back(loss.answers);
  }
  return fmt::format("Of {} {}s, {} hold nine tenths of the KL, {} of what answers lose.",
                     kl.size(), report.unit(), num_that_matter(kl), num_that_matter(answers));
}

std::string gates_text(const MeasureReport& report) {
  if (!report.gates) return "";
  const GateRanking& gates = *report.gates;
  const int64_t num_full = report.choice.num_full;
  std::string first;
  for (int64_t i = 0; i < num_full; ++i) {
    first += (first.empty() ? "" : ", ") + report.unit_name(gates.order[static_cast<size_t>(i)]);
  }
  return fmt::format("By gates, in one pass back: {}; of the first {} the plan has {} ({}).",
                     std::isnan(gates.rank_correlation)
                         ? "no rank correlation, because all lose the same"
                         : fmt::format("rank correlation with lost {:.2f}", gates.rank_correlation),
                     num_full, gates.num_in_plan, first);
}

std::vector<std::string> warnings(const LayerChoice& choice, const ChoiceOptions& options) {
  std::vector<std::string> found;
  const LossShares shares = choice.shares();
  if (!shares.answers_count()) {
    found.push_back(detail::concat(
        "the questions do not count: with every layer full the model gives their answers hardly "
        "more probability than with every layer sparse (",
        shares.answers_gap(), " nats a token). The choice follows far text alone."));
  }
  const VariantValues& chosen = choice.order.at(static_cast<size_t>(choice.num_full) - 1).values;
  if (options.within && perplexity_over(chosen, choice.full) > *options.within) {
    found.push_back(fmt::format(
        "no hybrid is within {:g}%: the plan has the most layers that were tried together.",
        100 * *options.within));
  }
  return found;
}

}  // namespace longgen
