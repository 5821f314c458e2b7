#include "longgen/measure/layer_choice.h"

#include <algorithm>
#include <limits>
#include <map>

#include "longgen/base/check.h"

namespace longgen {
namespace {

// Of the joint choice, of which the cost grows with the square of its layers.
constexpr int64_t kMostTogether = 24;

LayerSet without(LayerSet layers, int64_t layer) {
  layers.erase(std::remove(layers.begin(), layers.end(), layer), layers.end());
  return layers;
}

LayerSet first_of(const std::vector<LayerEffect>& effects, int64_t count) {
  LayerSet set;
  for (int64_t i = 0; i < count; ++i) set.push_back(effects[static_cast<size_t>(i)].layer);
  std::sort(set.begin(), set.end());
  return set;
}

/// Finds the layer without which a hybrid loses least.
class LeastMissed {
 public:
  LeastMissed(VariantSource& source, const LossShares& shares) : source_(source), shares_(shares) {}

  struct Absence {
    int64_t layer = 0;
    VariantValues values;  ///< of the hybrid without it
    double lost = std::numeric_limits<double>::infinity();
  };

  /// Gives it for the hybrid with these full layers, which must be some of those of the call
  /// before; of equal ones the lowest.
  Absence of(const LayerSet& full) {
    LayerSet order = full;
    std::stable_sort(order.begin(), order.end(),
                     [&](int64_t a, int64_t b) { return lost_[a] < lost_[b]; });
    Absence least;
    size_t tried = 0;
    for (size_t end = first_batch(order.size()); tried < end;) {
      const LayerSet batch(order.begin() + tried, order.begin() + end);
      std::vector<VariantValues> values = source_.values_with(full, batch);
      for (size_t i = 0; i < batch.size(); ++i) take({batch[i], std::move(values[i])}, least);
      tried = end;
      while (end < order.size() && lost_[order[end]] <= least.lost) ++end;
    }
    source_.spare(static_cast<int64_t>(order.size() - tried));
    return least;
  }

 private:
  // Nothing is known at first. Later the next layer to go is mostly among the first three.
  size_t first_batch(size_t count) const {
    constexpr size_t kLikely = 3;
    return knows_ ? std::min(count, kLikely) : count;
  }

  void take(Absence found, Absence& least) {
    knows_ = true;
    found.lost = lost_[found.layer] = shares_.lost(found.values);
    const bool is_less = found.lost < least.lost;
    if (is_less || (found.lost == least.lost && found.layer < least.layer))
      least = std::move(found);
  }

  VariantSource& source_;
  const LossShares& shares_;
  std::map<int64_t, double> lost_;  // without a layer, when that was last measured
  bool knows_ = false;
};

/// Takes layers away one by one, and fills choice.order from its end.
void eliminate(VariantSource& source, LayerSet layers, VariantValues values, LayerChoice& choice) {
  const LossShares shares = choice.shares();
  LeastMissed least_missed(source, shares);
  std::vector<ChoiceStep> taken;  // in the order in which they go, with what there was before
  while (layers.size() > 1) {
    LeastMissed::Absence least = least_missed.of(layers);
    taken.push_back({least.layer, std::move(values)});
    values = std::move(least.values);
    layers = without(std::move(layers), least.layer);
  }
  if (!layers.empty()) taken.push_back({layers.front(), std::move(values)});
  choice.order.assign(taken.rbegin(), taken.rend());
}

/// Gives the fewest layers of the order that are within the bound; all of them where none is.
int64_t fewest_within(const LayerChoice& choice, double bound) {
  for (size_t i = 0; i < choice.order.size(); ++i) {
    if (perplexity_over(choice.order[i].values, choice.full) <= bound) {
      return static_cast<int64_t>(i) + 1;
    }
  }
  return static_cast<int64_t>(choice.order.size());
}

}  // namespace

LossShares::LossShares(const VariantValues& full, const VariantValues& sparse)
    : text_gap_(sparse.far_kl()),
      full_answers_(full.logprob_of_answers()),
      answers_gap_(full_answers_ - sparse.logprob_of_answers()) {}

double LossShares::text(const VariantValues& variant) const {
  return text_gap_ > 0 ? variant.far_kl() / text_gap_ : 0;
}

double LossShares::answers(const VariantValues& variant) const {
  return std::max(0.0, (full_answers_ - variant.logprob_of_answers()) / answers_gap_);
}

double LossShares::lost(const VariantValues& variant) const {
  return answers_count() ? (text(variant) + answers(variant)) / 2 : text(variant);
}

LayerSet LayerChoice::full_layers() const {
  LayerSet layers;
  for (int64_t i = 0; i < num_full; ++i) layers.push_back(order[static_cast<size_t>(i)].layer);
  std::sort(layers.begin(), layers.end());
  return layers;
}

std::vector<LayerEffect> LayerChoice::sorted_effects() const {
  const LossShares shares = this->shares();
  std::vector<LayerEffect> sorted = effects;
  std::stable_sort(sorted.begin(), sorted.end(), [&](const auto& a, const auto& b) {
    return shares.lost(a.alone) > shares.lost(b.alone);
  });
  return sorted;
}

int64_t default_num_full(int64_t num_layers) {
  return std::max<int64_t>(1, (2 * num_layers + 5) / 10);
}

int64_t num_tried_together(int64_t num_candidates, int64_t num_full) {
  const int64_t two_fifths = (2 * num_candidates + 4) / 5, and_half = (3 * num_full + 1) / 2;
  const int64_t most = std::max(num_full, kMostTogether);
  return std::min({num_candidates, most, std::max(two_fifths, and_half)});
}

int64_t num_variants_to_measure(int64_t num_candidates, int64_t num_full) {
  const int64_t together = num_tried_together(num_candidates, num_full);
  const int64_t eliminations = together * (together + 1) / 2 - 1;
  return 2 + num_candidates + 1 + eliminations;
}

LayerChoice choose_layers(VariantSource& source, const LayerSet& candidates,
                          const ChoiceOptions& options) {
  const auto num_candidates = static_cast<int64_t>(candidates.size());
  LG_CHECK(num_candidates >= 1, "[measure] the model has no layer to choose.");
  LG_CHECK(options.within || (options.num_full >= 1 && options.num_full <= num_candidates),
           "[measure] full layers: expected from 1 to ", num_candidates, ", found ",
           options.num_full, ".");
  LayerChoice choice;
  choice.full = source.values_of(candidates);
  choice.sparse = source.values_of({});
  std::vector<VariantValues> alone = source.values_with(candidates, candidates);
  for (size_t i = 0; i < candidates.size(); ++i) {
    choice.effects.push_back({candidates[i], std::move(alone[i])});
  }
  const std::vector<LayerEffect> ranked = choice.sorted_effects();
  int64_t count = num_tried_together(num_candidates, options.within ? 1 : options.num_full);
  VariantValues together = source.values_of(first_of(ranked, count));
  while (options.within && count < num_candidates &&
         perplexity_over(together, choice.full) > *options.within) {
    together = source.values_of(first_of(ranked, ++count));
  }
  eliminate(source, first_of(ranked, count), std::move(together), choice);
  choice.num_full = options.within ? fewest_within(choice, *options.within) : options.num_full;
  return choice;
}

}  // namespace longgen
