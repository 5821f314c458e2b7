// measure/measured_variants.h: variants of a model, measured by running them, or known from the
// journal.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "longgen/measure/gate_pass.h"
#include "longgen/measure/journal.h"
#include "longgen/measure/layer_choice.h"
#include "longgen/measure/layer_walk.h"
#include "longgen/measure/sample.h"
#include "longgen/model/decoder.h"

namespace longgen {

struct MeasuredVariantsOptions {
  VariantUnits units;                  ///< what variants make sparse
  std::vector<MeasureSample> samples;  ///< of one length
  /// Gives the model. Called once, when the first variant must be run: a measurement that is
  /// complete in the journal needs none.
  std::function<Decoder()> load;
  /// Called with the number of variants times samples that are known so far, of those asked for,
  /// or need not be known.
  std::function<void(int64_t done)> on_progress = [](int64_t) {};
  const std::atomic<bool>* stop = nullptr;  ///< set from outside (Ctrl-C)
};

class MeasuredVariants : public VariantSource {
 public:
  /// The journal must outlive the object.
  MeasuredVariants(MeasuredVariantsOptions options, MeasureJournal& journal);
  ~MeasuredVariants() override;

  /// Both throw Error once `stop` is set, and where a value is not finite. What was measured until
  /// then is in the journal.
  VariantValues values_of(const LayerSet& full) override;
  std::vector<VariantValues> values_with(const LayerSet& full,
                                         const std::vector<int64_t>& toggled) override;
  void spare(int64_t num_variants) override;

  /// Gives the sums over all samples of what a pass through half-open gates says of each candidate;
  /// in on_progress each sample counts as one variant. Throws Error as the others do.
  GateSlopes gate_slopes();

 private:
  struct Machine;

  /// Measures what the journal does not know, of one sample.
  void measure(int64_t sample, const LayerSet& full, const std::vector<int64_t>& toggled,
               bool itself);
  /// Measures all of them; `counts` tells on_progress.
  void walk(int64_t sample, const LayerSet& full, const std::vector<int64_t>& toggled, bool itself,
            bool counts);
  /// Walks the full model where its scorer has not seen it: what a variant loses is counted from
  /// hidden states that no file keeps.
  void ensure_reference(int64_t sample);
  void pass_gates(int64_t sample, GatePass& pass);
  bool goes_on() const { return options_.stop == nullptr || !*options_.stop; }
  void check_stop() const;
  Machine& machine();
  int64_t num_samples() const { return static_cast<int64_t>(options_.samples.size()); }

  MeasuredVariantsOptions options_;
  MeasureJournal& journal_;
  std::unique_ptr<Machine> machine_;
  int64_t done_ = 0;
};

}  // namespace longgen
