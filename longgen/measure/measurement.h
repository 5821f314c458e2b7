// measure/measurement.h: of which model what is measured, on which text.
#pragma once

#include <cstdint>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/base/json.h"
#include "longgen/data/documents.h"
#include "longgen/measure/journal.h"
#include "longgen/measure/sample.h"
#include "longgen/measure/variant_units.h"
#include "longgen/model/config.h"

namespace longgen {

struct MeasurementOptions {
  fs::path model;  ///< its directory
  DocumentSource source;
  Pattern sparse = Pattern::parse_sparse("sink");  ///< what sparse layers see
  int64_t length = 0;                              ///< tokens of a sequence
  int64_t sequences = 0;                           ///< at most
  int64_t questions = 0;                           ///< as in SampleOptions
  uint64_t seed = 0;                               ///< of the facts
  bool by_head = false;                            ///< KV heads are measured, not layers
};

/// Makes the model that variants are held against: every layer full but for windows of the family's
/// own. Its RoPE and context are those of `config`.
ModelConfig with_every_layer_full(const ModelConfig& config);

/// Reads the samples, as many as the text has, and says where these are fewer than asked for.
/// Throws Error as read_stretches() and make_measure_sample() do.
std::vector<MeasureSample> read_samples(const MeasurementOptions& options, int64_t num_kv_heads,
                                        const Tokenizer& tokenizer);

/// Says what decides the values, but for how they are computed: a journal of others is refused. The
/// order is that in which differences are looked for.
OrderedJson settings_json(const MeasurementOptions& options,
                          const std::vector<MeasureSample>& samples);

/// Opens the journal in the folder of a measurement of the model with every layer full. Throws
/// Error as MeasureJournal does.
MeasureJournal open_journal(const fs::path& folder, const MeasurementOptions& options,
                            const ModelConfig& model, const OrderedJson& settings, bool restart);

/// Adds where the text came from, which decides nothing by itself.
OrderedJson with_source(OrderedJson settings, const DocumentSource& source);

}  // namespace longgen
