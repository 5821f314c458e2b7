#include "longgen/measure/measured_variants.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "longgen/base/check.h"
#include "longgen/measure/row_scorer.h"

namespace longgen {
namespace {

/// Gives the set with the layer added, or taken away where it was there.
LayerSet with_toggled(LayerSet layers, int64_t layer) {
  const auto place = std::lower_bound(layers.begin(), layers.end(), layer);
  if (place != layers.end() && *place == layer) {
    layers.erase(place);
  } else {
    layers.insert(place, layer);
  }
  return layers;
}

}  // namespace

/// What runs variants, made when the first one is asked for that the journal does not know.
struct MeasuredVariants::Machine {
  explicit Machine(const MeasuredVariantsOptions& options)
      : decoder(options.load()),
        head(decoder),
        length(static_cast<int64_t>(options.samples.front().ids.size())),
        walk(decoder, options.units, length) {
    const std::vector<int64_t> edges =
        far_text_edges(options.units.sparse, decoder.config().num_kv_heads, length);
    for (const MeasureSample& sample : options.samples) scorers.emplace_back(head, sample, edges);
  }

  Decoder decoder;
  FloatHead head;
  int64_t length;
  LayerWalk walk;
  std::vector<RowScorer> scorers;  // of each sample
};

MeasuredVariants::MeasuredVariants(MeasuredVariantsOptions options, MeasureJournal& journal)
    : options_(std::move(options)), journal_(journal) {
  LG_CHECK(!options_.samples.empty(), "[measure] expected at least one sample, found none.");
}

MeasuredVariants::~MeasuredVariants() = default;

MeasuredVariants::Machine& MeasuredVariants::machine() {
  if (!machine_) machine_ = std::make_unique<Machine>(options_);
  return *machine_;
}

void MeasuredVariants::check_stop() const {
  LG_CHECK(goes_on(), "[measure] stopped. What was measured is in ", journal_.path().string(),
           "; the same command goes on from there.");
}

void MeasuredVariants::walk(int64_t sample, const LayerSet& full,
                            const std::vector<int64_t>& toggled, bool itself, bool counts) {
  Machine& machine = this->machine();
  RowScorer& scorer = machine.scorers[static_cast<size_t>(sample)];
  at::Tensor reference_RV;  // for all variants of this walk
  const auto visit = [&](int64_t layer, const at::Tensor& hidden_TE) {
    const LayerSet of = layer == LayerWalk::kNothing ? full : with_toggled(full, layer);
    if (of == options_.units.candidates) scorer.set_reference(hidden_TE);
    if (journal_.find(sample, of) != nullptr) return true;
    if (!reference_RV.defined()) reference_RV = scorer.reference_logprobs();
    const VariantValues values = scorer.score(hidden_TE, reference_RV);
    LG_CHECK(std::isfinite(values.far_nll() + values.far_kl() + values.answer_logprob),
             "[measure] the model gives numbers that are not finite: are its weights damaged? (",
             of.size(), " of ", options_.units.candidates.size(), " full)");
    journal_.add(sample, of, values);
    if (counts) options_.on_progress(++done_);
    return true;
  };
  machine.walk.run(options_.samples[static_cast<size_t>(sample)].ids, full, toggled, itself, visit,
                   [this] { return goes_on(); });
  check_stop();
}

void MeasuredVariants::ensure_reference(int64_t sample) {
  if (machine().scorers[static_cast<size_t>(sample)].has_reference()) return;
  walk(sample, options_.units.candidates, {}, true, /*counts=*/false);
}

void MeasuredVariants::measure(int64_t sample, const LayerSet& full,
                               const std::vector<int64_t>& toggled, bool itself) {
  std::vector<int64_t> missing;
  for (const int64_t layer : toggled) {
    if (journal_.find(sample, with_toggled(full, layer)) == nullptr) missing.push_back(layer);
  }
  std::sort(missing.begin(), missing.end());
  const bool needs_itself = itself && journal_.find(sample, full) == nullptr;
  done_ += static_cast<int64_t>(toggled.size() - missing.size()) + (itself && !needs_itself);
  options_.on_progress(done_);
  check_stop();
  if (missing.empty() && !needs_itself) return;
  const bool is_reference = needs_itself && full == options_.units.candidates;
  if (!is_reference) ensure_reference(sample);
  walk(sample, full, missing, needs_itself, /*counts=*/true);
}

VariantValues MeasuredVariants::values_of(const LayerSet& full) {
  VariantValues sum;
  for (int64_t sample = 0; sample < num_samples(); ++sample) {
    measure(sample, full, {}, true);
    sum += *journal_.find(sample, full);
  }
  return sum;
}

std::vector<VariantValues> MeasuredVariants::values_with(const LayerSet& full,
                                                         const std::vector<int64_t>& toggled) {
  std::vector<VariantValues> sums(toggled.size());
  for (int64_t sample = 0; sample < num_samples(); ++sample) {
    measure(sample, full, toggled, false);
    for (size_t i = 0; i < toggled.size(); ++i) {
      sums[i] += *journal_.find(sample, with_toggled(full, toggled[i]));
    }
  }
  return sums;
}

void MeasuredVariants::spare(int64_t num_variants) {
  done_ += num_variants * num_samples();
  options_.on_progress(done_);
}

void MeasuredVariants::pass_gates(int64_t sample, GatePass& pass) {
  ensure_reference(sample);
  const RowScorer& scorer = machine().scorers[static_cast<size_t>(sample)];
  const auto on_layer = [this] { return goes_on(); };
  const at::Tensor hidden_TE =
      pass.forward(options_.samples[static_cast<size_t>(sample)].ids, on_layer);
  check_stop();
  const RowScorer::Gradients gradients = scorer.gradients(hidden_TE);
  std::vector<std::vector<double>> slopes =
      pass.backward({gradients.text_TE, gradients.answers_TE}, on_layer);
  check_stop();
  const GateSlopes found = {std::move(slopes.at(0)), std::move(slopes.at(1))};
  LG_CHECK(
      found.are_finite(),
      "[measure] the pass through gates gives slopes that are not finite. Measure with --dtype "
      "float32, or without --gates.");
  journal_.add_gates(sample, found);
}

GateSlopes MeasuredVariants::gate_slopes() {
  std::optional<GatePass> pass;
  GateSlopes sum;
  for (int64_t sample = 0; sample < num_samples(); ++sample) {
    check_stop();
    if (journal_.find_gates(sample) == nullptr) {
      Machine& machine = this->machine();
      if (!pass) pass.emplace(machine.decoder, options_.units, machine.length, kHalfOpen);
      pass_gates(sample, *pass);
    }
    options_.on_progress(++done_);
    sum += *journal_.find_gates(sample);
  }
  return sum;
}

}  // namespace longgen
