#include "longgen/measure/measurement.h"

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/random.h"
#include "longgen/base/units.h"
#include "longgen/checkpoint/directory_hash.h"
#include "longgen/measure/texts.h"
#include "longgen/model/convert.h"

namespace longgen {

ModelConfig with_every_layer_full(const ModelConfig& config) {
  return make_hybrid(
      config,
      {.layers = "all", .sparse = "full", .context = 0, .rope = {.kind = RopeChange::Kind::kKeep}});
}

std::vector<MeasureSample> read_samples(const MeasurementOptions& options, int64_t num_kv_heads,
                                        const Tokenizer& tokenizer) {
  const auto stretches =
      read_stretches(options.source, tokenizer, options.model, options.length, options.sequences);
  if (static_cast<int64_t>(stretches.size()) < options.sequences) {
    log_info(detail::concat("the text has ", stretches.size(), " of ", options.sequences,
                            " sequences of ", format_count(options.length), " tokens"));
  }
  std::vector<MeasureSample> samples;
  for (const std::vector<int32_t>& stretch : stretches) {
    samples.push_back(make_measure_sample(stretch, tokenizer,
                                          {.sparse = options.sparse.for_heads(num_kv_heads),
                                           .num_kv_heads = num_kv_heads,
                                           .questions = options.questions,
                                           .seed = mix_pair(options.seed, samples.size())}));
  }
  return samples;
}

OrderedJson settings_json(const MeasurementOptions& options,
                          const std::vector<MeasureSample>& samples) {
  std::string ids;
  int64_t questions = 0;
  for (const MeasureSample& sample : samples) {
    ids.append(reinterpret_cast<const char*>(sample.ids.data()),
               sample.ids.size() * sizeof(int32_t));
    questions += static_cast<int64_t>(sample.answers.size());
  }
  return {{"model_hash", hash_directory(options.model)},
          {"length", options.length},
          {"sequences", samples.size()},
          {"questions", questions},
          {"sparse", options.sparse.to_string()},
          {"unit", options.by_head ? "KV head" : "layer"},
          {"seed", options.seed},
          {"tokens_hash", hash_hex(ids)}};
}

MeasureJournal open_journal(const fs::path& folder, const MeasurementOptions& options,
                            const ModelConfig& model, const OrderedJson& settings, bool restart) {
  const size_t num_edges =
      far_text_edges(options.sparse, model.num_kv_heads, options.length).size();
  const VariantUnits units = units_of(model, options.sparse, options.by_head);
  const JournalShape shape = {.num_ranges = num_edges - 1, .num_units = units.candidates.size()};
  return {folder / "journal.jsonl", settings, shape, restart};
}

OrderedJson with_source(OrderedJson settings, const DocumentSource& source) {
  settings["texts"] = source.texts;
  if (!source.data.empty()) {
    settings["data"] = source.data;
    settings["split"] = source.split;
  }
  return settings;
}

}  // namespace longgen
