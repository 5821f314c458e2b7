#include <fmt/format.h>

#include "longgen/base/units.h"
#include "longgen/bench/load/load_report.h"
#include "longgen/bench/load/scenario.h"

namespace longgen {
namespace {

double prompt_rate(const ScenarioResult& result, double seconds) {
  return static_cast<double>(result.options.prompt_tokens) / seconds;
}

/// A ratio by name, as text and JSON say it.
struct Ratio {
  const char* key;
  const char* meaning;
  double value;
};

std::vector<Ratio> ratios_of(const ScenarioResult& result) {
  std::vector<Ratio> ratios = {
      {"decode_together_over_single", "decode tokens/s, together over one alone",
       result.together_tokens_per_s / result.single_tokens_per_s},
      {"prefill_beside_over_alone", "long prompt's tokens/s, beside decoders over alone",
       result.cold_seconds / result.beside_seconds},
      {"warm_over_cold", "long prompt's first token, warm over cold",
       result.warm_seconds / result.cold_seconds}};
  if (const auto longest = result.longest_gap()) {
    ratios.push_back({"gap_p99_over_allowed", "p99 gap over (budget + undisturbed step)",
                      result.disturbed.p99 / *longest});
    ratios.push_back({"gap_worst_over_allowed", "worst gap over (budget + undisturbed step)",
                      result.disturbed.worst / *longest});
    ratios.push_back(
        {"behind_less_alone_in_budgets",
         "short prompt's first token behind a long one, less alone, in budgets",
         (result.behind_seconds - result.short_seconds) / *result.step_budget_seconds});
  }
  if (result.predicted_over_measured) {
    ratios.push_back({"predicted_over_measured", "predicted over measured time of all steps",
                      *result.predicted_over_measured});
  }
  if (result.share_predicted_well) {
    ratios.push_back({"steps_predicted_within_0.8_to_1.25",
                      "share of steps predicted within 0.8 to 1.25 of the measured time",
                      *result.share_predicted_well});
  }
  return ratios;
}

}  // namespace

std::string to_text(const ScenarioResult& result) {
  const ScenarioOptions& options = result.options;
  std::string text = fmt::format(
      "one decoder       {:.1f} tokens/s ({} tokens before it)\n"
      "{:<17} {:.1f} tokens/s, gaps {}\n",
      result.single_tokens_per_s, format_count(options.context),
      format_count(options.decoders, "decoder"), result.together_tokens_per_s,
      gaps_text(result.undisturbed));
  text += fmt::format("a long prompt of {} tokens\n", format_count(options.prompt_tokens));
  text +=
      fmt::format("  alone           first token {}, {:.0f} tokens/s\n",
                  format_seconds(result.cold_seconds), prompt_rate(result, result.cold_seconds));
  text +=
      fmt::format("  again, +64      first token {}{}\n", format_seconds(result.warm_seconds),
                  result.warm_cached_tokens
                      ? fmt::format(", {} tokens cached", format_count(*result.warm_cached_tokens))
                      : "");
  text += fmt::format("  beside decoders first token {}, {:.0f} tokens/s; their gaps {}\n",
                      format_seconds(result.beside_seconds),
                      prompt_rate(result, result.beside_seconds), gaps_text(result.disturbed));
  text += fmt::format("a short prompt of {} tokens\n", format_count(options.short_tokens));
  text += fmt::format("  alone           first token {}\n", format_seconds(result.short_seconds));
  text += fmt::format("  behind a long   first token {}\n", format_seconds(result.behind_seconds));
  if (result.step_budget_seconds) {
    text += fmt::format("step budget       {}\n", format_seconds(*result.step_budget_seconds));
  } else {
    text += "the server does not say its step budget: ratios to it are missing (--step-budget)\n";
  }
  for (const Ratio& ratio : ratios_of(result)) {
    text += fmt::format("{:<72} {:.3f}\n", ratio.meaning, ratio.value);
  }
  return text;
}

OrderedJson to_json(const ScenarioResult& result) {
  const ScenarioOptions& options = result.options;
  OrderedJson ratios;
  for (const Ratio& ratio : ratios_of(result)) ratios[ratio.key] = ratio.value;
  return {{"scenario",
           {{"decoders", options.decoders},
            {"prompt", options.prompt_tokens},
            {"context", options.context},
            {"steps", options.steps},
            {"reply", options.reply_tokens},
            {"short", options.short_tokens}}},
          {"single_tokens_per_s", result.single_tokens_per_s},
          {"together_tokens_per_s", result.together_tokens_per_s},
          {"undisturbed_gap_s", to_json(result.undisturbed)},
          {"cold_first_token_s", result.cold_seconds},
          {"warm_first_token_s", result.warm_seconds},
          {"warm_cached_tokens", optional_json(result.warm_cached_tokens)},
          {"beside_first_token_s", result.beside_seconds},
          {"disturbed_gap_s", to_json(result.disturbed)},
          {"short_first_token_s", result.short_seconds},
          {"behind_first_token_s", result.behind_seconds},
          {"step_budget_s", optional_json(result.step_budget_seconds)},
          {"ratios", ratios}};
}

}  // namespace longgen
