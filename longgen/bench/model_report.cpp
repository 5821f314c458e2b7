#include "longgen/bench/model_report.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/bench/timing.h"
#include "longgen/ops/linear_cross_entropy.h"
#include "longgen/plan/plan.h"

namespace longgen {
namespace {

constexpr const char* kParts[] = {"prefill", "decode", "train"};

/// The numbers of one part that add up over layers.
OrderedJson combine_part(const std::vector<OrderedJson>& cuts, const std::string& name,
                         const LayerPlan& layers, const MeasuredWork& work) {
  OrderedJson part = cuts.front().at(name);
  for (const auto& [key, value] : part.items()) {
    // Beside a GPU the host holds nothing of a layer.
    if (key == "host_bytes" && work.on_gpu) continue;
    std::vector<double> values;
    for (const OrderedJson& cut : cuts) values.push_back(cut.at(name).at(key).get<double>());
    const double total = combine_cuts(values, layers, work.subject.config.num_layers);
    value =
        value.is_number_integer() ? OrderedJson(static_cast<int64_t>(total)) : OrderedJson(total);
  }
  return part;
}

bool all_have(const std::vector<OrderedJson>& samples, const std::string& key) {
  return std::all_of(samples.begin(), samples.end(),
                     [&](const OrderedJson& sample) { return sample.contains(key); });
}

std::vector<double> values_of(const std::vector<OrderedJson>& samples, const std::string& part,
                              const std::string& key) {
  std::vector<double> values;
  for (const OrderedJson& sample : samples) {
    values.push_back((part.empty() ? sample : sample.at(part)).at(key).get<double>());
  }
  return values;
}

OrderedJson range(const std::vector<double>& values) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return {*low, *high};
}

/// What the planner says of a variant. Seconds are 0 where the device is not known.
struct Prediction {
  Prediction(const LayerPlan& layers, const MeasuredWork& work) : config(work.subject.config) {
    const int64_t end = work.tokens + work.decode_tokens;
    const ArchitecturePlan prompt = plan(layers, work, work.tokens),
                           after = plan(layers, work, end);
    flops = {prompt.prefill.total(),
             forward_flops(config, layers, work.tokens, end, work.decode_tokens).total() *
                 static_cast<double>(work.batch) / static_cast<double>(work.decode_tokens),
             prompt.training.total()};
    if (work.device) {
      seconds = {prompt.prefill_seconds, after.decode_seconds, prompt.training_seconds};
    }
    bytes = {prompt.serving_memory.total_bytes(), 0, prompt.training_memory.total_bytes()};
    decode_reads = after.decode_read.weights + work.batch * after.decode_read.kv;
    kv_bytes = work.batch * prompt.kv.held;
  }

  static ArchitecturePlan plan(const LayerPlan& layers, const MeasuredWork& work, int64_t context) {
    PlanRequest request = {
        .model = work.subject.name,
        .config = work.subject.config,
        .layers = layers,
        .context = context,
        .device = work.device ? *work.device : find_device(work.on_gpu ? "h200" : "cpu"),
        .format = work.format,
        .num_sequences = work.batch,
        .prefill_chunk = work.chunk,
        .training = work.training,
        .efficiency = {}};
    request.training.chunk_rows = default_loss_chunk_rows(work.on_gpu ? at::kCUDA : at::kCPU);
    Plan both = make_plan(request);
    return both.hybrid ? *both.hybrid : both.full;
  }

  const ModelConfig& config;
  // What the parts take, in the order of kParts.
  std::vector<double> flops, seconds = {0, 0, 0};
  std::vector<int64_t> bytes;
  int64_t decode_reads = 0, kv_bytes = 0;
};

/// Gives the median time and memory of a part, and how they compare; `index` is that of kParts.
OrderedJson summarize_part(const std::vector<OrderedJson>& rounds, size_t index,
                           const Prediction& predicted, double gemm_rate) {
  const std::string name = kParts[index];
  const std::vector<double> times = values_of(rounds, name, "seconds");
  const double seconds = median(times);
  OrderedJson part = {{"seconds", seconds},
                      {"seconds_range", range(times)},
                      {"flops", predicted.flops[index]},
                      {"gemm_share", predicted.flops[index] / seconds / gemm_rate}};
  for (const char* key : {"host_bytes", "device_bytes", "device_reserved_bytes"}) {
    if (!rounds.front().at(name).contains(key)) continue;
    part[key] = static_cast<int64_t>(median(values_of(rounds, name, key)));
  }
  if (predicted.seconds[index] > 0) {
    part["predicted_seconds"] = predicted.seconds[index];
    part["seconds_to_predicted"] = seconds / predicted.seconds[index];
  }
  if (predicted.bytes[index] > 0) {
    const char* const held = part.contains("device_bytes") ? "device_bytes" : "host_bytes";
    part["predicted_bytes"] = predicted.bytes[index];
    part["bytes_to_predicted"] =
        part[held].get<double>() / static_cast<double>(predicted.bytes[index]);
  }
  return part;
}

/// How many tokens of a part pass in its seconds.
int64_t tokens_of(const std::string& part, const MeasuredWork& work) {
  return part == "decode" ? work.batch : work.tokens;
}

}  // namespace

OrderedJson combine_samples(const std::vector<OrderedJson>& cuts, const LayerPlan& layers,
                            const MeasuredWork& work) {
  OrderedJson sample = cuts.front();
  for (const char* part : kParts) {
    sample.erase(part);
    if (all_have(cuts, part)) sample[part] = combine_part(cuts, part, layers, work);
  }
  if (all_have(cuts, "kv_bytes")) {
    sample["kv_bytes"] = static_cast<int64_t>(
        combine_cuts(values_of(cuts, "", "kv_bytes"), layers, work.subject.config.num_layers));
  }
  return sample;
}

OrderedJson summarize_variant(const std::string& variant, const std::vector<OrderedJson>& rounds,
                              const MeasuredWork& work) {
  const Prediction predicted(variant_layers(variant, work.subject.config), work);
  OrderedJson summary = {{"variant", variant}, {"tokens", work.tokens}};
  const double gemm = median(values_of(rounds, "", "gemm_flops_per_s"));
  const double copy = median(values_of(rounds, "", "copy_bytes_per_s"));
  OrderedJson parts;
  double host_bytes = 0;
  for (size_t i = 0; i < std::size(kParts); ++i) {
    const std::string name = kParts[i];
    if (!all_have(rounds, name)) continue;
    OrderedJson part = summarize_part(rounds, i, predicted, gemm);
    const auto tokens = static_cast<double>(tokens_of(name, work));
    summary[name + "_tokens_per_s"] = tokens / part["seconds"].get<double>();
    summary[name + "_tokens_per_s_range"] = {tokens / part["seconds_range"][1].get<double>(),
                                             tokens / part["seconds_range"][0].get<double>()};
    host_bytes = std::max(host_bytes, part["host_bytes"].get<double>());
    parts[name] = std::move(part);
  }
  if (parts.contains("decode")) {
    OrderedJson& decode = parts["decode"];
    decode["read_bytes"] = predicted.decode_reads;
    decode["copy_share"] =
        static_cast<double>(predicted.decode_reads) / decode["seconds"].get<double>() / copy;
  }
  if (all_have(rounds, "kv_bytes")) {
    summary["kv_bytes"] = static_cast<int64_t>(median(values_of(rounds, "", "kv_bytes")));
    summary["predicted_kv_bytes"] = predicted.kv_bytes;
  }
  summary["peak_memory_bytes"] = static_cast<int64_t>(host_bytes);
  summary["gemm_flops_per_s"] = gemm;
  summary["copy_bytes_per_s"] = copy;
  summary.update(parts);
  return summary;
}

int64_t predicted_peak_bytes(const std::string& variant, const MeasuredWork& work, bool serving,
                             bool training) {
  int64_t most = 0;
  for (const ModelCut& cut : cuts_of(work.subject, variant)) {
    MeasuredWork part = work;
    part.subject.config = cut_config(work.subject, cut);
    const ArchitecturePlan plan =
        Prediction::plan(cut.layers, part, work.tokens + work.decode_tokens);
    if (serving) most = std::max(most, plan.serving_memory.total_bytes());
    if (training) most = std::max(most, plan.training_memory.total_bytes());
  }
  return most;
}

}  // namespace longgen
