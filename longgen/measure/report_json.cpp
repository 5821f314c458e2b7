#include <cmath>

#include "longgen/measure/report.h"

namespace longgen {
namespace {

OrderedJson unit_json(int64_t unit, const MeasureReport& report) {
  if (!report.by_head()) return {{"layer", unit}};
  return {{"layer", unit / report.per_layer}, {"kv_head", unit % report.per_layer}};
}

OrderedJson means_json(const VariantValues& values, const MeasureReport& report) {
  const VariantLoss loss = report.loss_of(values);
  return {{"nll", values.far_nll()},
          {"perplexity_over_full", loss.perplexity},
          {"kl", loss.kl},
          {"answer_logprob", values.logprob_of_answers()},
          {"answers_lost", loss.answers},
          {"right", values.num_right},
          {"answers", values.num_answers},
          {"lost", loss.lost}};
}

/// Adds what stands by position to the means.
OrderedJson variant_json(const VariantValues& values, const MeasureReport& report) {
  OrderedJson json = means_json(values, report);
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

/// Says what the model loses with each unit and those before it.
OrderedJson order_json(const MeasureReport& report) {
  OrderedJson order = OrderedJson::array();
  for (const ChoiceStep& step : report.choice.order) {
    OrderedJson json = unit_json(step.layer, report);
    json.update(means_json(step.values, report));
    order.push_back(json);
  }
  return order;
}

OrderedJson units_json(const std::vector<int64_t>& units, const MeasureReport& report) {
  if (!report.by_head()) return units;
  OrderedJson json = OrderedJson::array();
  for (const int64_t head : units) json.push_back(unit_json(head, report));
  return json;
}

OrderedJson gates_json(const MeasureReport& report) {
  const double correlation = report.gates->rank_correlation;
  return {{"at", kHalfOpen},
          {"rank_correlation", std::isnan(correlation) ? OrderedJson() : OrderedJson(correlation)},
          {"in_plan", report.gates->num_in_plan},
          {"order", units_json(report.gates->order, report)}};
}

}  // namespace

MeasuredPlan measured_plan(const MeasureReport& report, const ModelConfig& model,
                           const std::string& model_name) {
  return {.sizes = plan_sizes(model),
          .model_name = model_name,
          .model_hash = report.settings.at("model_hash"),
          .full_layers = report.choice.full_layers(),
          .sparse = report.sparse,
          .order = order_json(report),
          .measured_on = report.settings};
}

OrderedJson to_json(const MeasureReport& report) {
  const LayerChoice& choice = report.choice;
  OrderedJson layers = OrderedJson::array();
  for (const LayerEffect& effect : choice.effects) {
    OrderedJson json = unit_json(effect.layer, report);
    json["chosen"] = report.is_chosen(effect.layer);
    json.update(variant_json(effect.alone, report));
    if (report.gates) json["lost_by_gates"] = report.gates->lost.at(effect.layer);
    layers.push_back(json);
  }
  OrderedJson json = {{"report", "layers that need to see everything"},
                      {"settings", report.settings},
                      {"unit", "nll, kl, answer_logprob and what they lose: nats a token"},
                      {"sparse", report.sparse},
                      {"answers_count", choice.shares().answers_count()},
                      {"full", variant_json(choice.full, report)},
                      {"all_sparse", variant_json(choice.sparse, report)},
                      {report.by_head() ? "kv_heads" : "layers", layers},
                      {"order", order_json(report)},
                      {report.by_head() ? "full_kv_heads" : "full_layers",
                       units_json(choice.full_layers(), report)}};
  if (report.gates) json["gates"] = gates_json(report);
  return json;
}

}  // namespace longgen
