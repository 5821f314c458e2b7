// measure/layer_choice.h: which layers stay full, from what variants of the model lose.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "longgen/measure/journal.h"
#include "longgen/measure/variant_values.h"

namespace longgen {

/// Gives the values of variants of a model, over all samples.
class VariantSource {
 public:
  virtual ~VariantSource() = default;
  /// Gives the values of the variant with these full layers.
  virtual VariantValues values_of(const LayerSet& full) = 0;
  /// Gives the values of one variant for each of `toggled`, in their order: that with these full
  /// layers, of which this layer is added, or taken away where it is one of them.
  virtual std::vector<VariantValues> values_with(const LayerSet& full,
                                                 const std::vector<int64_t>& toggled) = 0;
  /// Is told of variants that num_variants_to_measure() counts and that nobody will ask for.
  virtual void spare(int64_t num_variants) = 0;
};

/// What variants lose, as shares: 0 is nothing (every layer full), 1 is all that the model loses
/// with every layer sparse.
class LossShares {
 public:
  LossShares(const VariantValues& full, const VariantValues& sparse);

  /// The share of the KL divergence of far text.
  double text(const VariantValues& variant) const;
  /// The share of the answers' log-probability; what is better than the full model counts as 0.
  double answers(const VariantValues& variant) const;
  /// Their mean; that of the text alone where answers do not count.
  double lost(const VariantValues& variant) const;
  /// Answers count where the full model's are more probable than the sparse one's by at least
  /// kLeastRetrieval: a model that cannot answer shows nothing by how it answers.
  bool answers_count() const { return answers_gap_ >= kLeastRetrieval; }
  double answers_gap() const { return answers_gap_; }

  static constexpr double kLeastRetrieval = 0.2;  ///< nats a token

 private:
  double text_gap_, full_answers_, answers_gap_;
};

struct LayerEffect {
  int64_t layer = 0;
  VariantValues alone;  ///< this layer is sparse, all others are full
};

/// A hybrid with the layers of all steps up to this one.
struct ChoiceStep {
  int64_t layer = 0;
  VariantValues values;
};

struct LayerChoice {
  VariantValues full, sparse;        ///< every layer full; every one sparse
  std::vector<LayerEffect> effects;  ///< of every candidate, by layer
  /// The layers that were tried together, the most important first; see choose_layers().
  std::vector<ChoiceStep> order;
  int64_t num_full = 0;  ///< how many of `order` are chosen

  LossShares shares() const { return {full, sparse}; }
  LayerSet full_layers() const;  ///< the chosen ones, ascending
  /// The effects, the one first that loses most; of equal ones that of the lower layer.
  std::vector<LayerEffect> sorted_effects() const;
};

struct ChoiceOptions {
  int64_t num_full = 0;  ///< how many layers stay full, unless `within` is given
  /// As few layers as keep far text's perplexity within this share above the full model's.
  std::optional<double> within;
};

/// Gives a fifth, at least 1: that many layers kept what far context gives in the models that were
/// measured.
int64_t default_num_full(int64_t num_layers);

/// Gives how many layers choose_layers() tries together if it need not add more for `within`.
int64_t num_tried_together(int64_t num_candidates, int64_t num_full);
/// Gives how many variants it then measures at most.
int64_t num_variants_to_measure(int64_t num_candidates, int64_t num_full);

/// Chooses which of the candidates (ascending) stay full, in two passes:
/// 1. Each is made sparse alone. Those that lose most go on: two fifths, and at least half as many
///    again as stay full.
/// 2. Of these, all full and every other candidate sparse, the one is made sparse without which the
///    joint model loses least, and so on, down to one. Every number of full layers up to the first
///    so has its set, each within the next. A layer whose absence cost more while more layers were
///    full than another's costs now is not tried again: that a model with more sparse layers loses
///    less is taken not to happen.
/// Layers are taken away from a model that works, not added to one that does not: where two of them
/// must work together to find something, neither helps alone. With `within`, layers are added to
/// the first set until it is good enough.
LayerChoice choose_layers(VariantSource& source, const LayerSet& candidates,
                          const ChoiceOptions& options);

}  // namespace longgen
