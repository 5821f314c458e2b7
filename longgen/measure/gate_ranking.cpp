#include "longgen/measure/gate_ranking.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/report/rank_correlation.h"

namespace longgen {

GateRanking rank_by_gates(const GateSlopes& slopes, const LayerChoice& choice) {
  const size_t num_units = choice.effects.size();
  LG_DCHECK(slopes.kl.size() == num_units && slopes.answers.size() == num_units);
  const LossShares shares = choice.shares();
  GateRanking ranking;
  std::vector<double> by_gates, measured;
  for (size_t i = 0; i < num_units; ++i) {
    VariantValues foretold = choice.full;
    foretold.ranges.front().kl += slopes.kl[i];
    foretold.answer_logprob -= slopes.answers[i];
    const int64_t unit = choice.effects[i].layer;
    by_gates.push_back(ranking.lost[unit] = shares.lost(foretold));
    measured.push_back(shares.lost(choice.effects[i].alone));
    ranking.order.push_back(unit);
  }
  ranking.rank_correlation = rank_correlation(by_gates, measured);
  std::stable_sort(ranking.order.begin(), ranking.order.end(),
                   [&](int64_t a, int64_t b) { return ranking.lost.at(a) > ranking.lost.at(b); });
  const LayerSet full = choice.full_layers();
  ranking.num_in_plan = std::count_if(
      ranking.order.begin(), ranking.order.begin() + choice.num_full,
      [&](int64_t unit) { return std::binary_search(full.begin(), full.end(), unit); });
  return ranking;
}

}  // namespace longgen
