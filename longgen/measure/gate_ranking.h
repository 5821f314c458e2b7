// measure/gate_ranking.h: the ranking of units by one pass through gates, beside what was measured.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "longgen/measure/gate_slopes.h"
#include "longgen/measure/layer_choice.h"

namespace longgen {

/// What a pass through gates says of the units of a choice. From the full model to the one with
/// every layer sparse, all gates opening at once, KL and answers change by the integral of all
/// slopes. A unit's slope in the middle of that way is taken as its part of what is lost, as a
/// share of the same wholes as LossShares. These parts would add up to 1 if slopes were the same
/// all the way; they are steeper in the middle.
struct GateRanking {
  std::map<int64_t, double> lost;  ///< the part of each candidate
  std::vector<int64_t> order;  ///< candidates, the largest part first; of equal ones the lower unit
  double rank_correlation = 0;  ///< Spearman's, of these parts and what each unit loses alone
  int64_t num_in_plan = 0;      ///< of the first LayerChoice::num_full of `order`, in the plan
};

/// Ranks the candidates of a choice by their slopes, which are sums over the samples of the choice.
GateRanking rank_by_gates(const GateSlopes& slopes, const LayerChoice& choice);

}  // namespace longgen
