#include "longgen/bench/model_subject.h"

#include "longgen/base/check.h"
#include "longgen/base/nearest_name.h"
#include "longgen/model/model_directory.h"
#include "longgen/plan/presets.h"

namespace longgen {
namespace {

constexpr const char* kLayerOf70b = "llama2-70b-layer";
constexpr uint64_t kSeed = 1;

std::string preset_list() {
  std::string names;
  for (const std::string& name : preset_names()) names += name + ", ";
  return names + kLayerOf70b;
}

}  // namespace

ModelSubject find_subject(const std::string& name) {
  if (name == kLayerOf70b) return {name, preset("llama2-70b"), true, true};
  if (auto config = find_preset(name)) return {name, *std::move(config), true, false};
  LG_CHECK(fs::exists(name), "[bench model] \"", name,
           "\" is no model directory and no preset. Presets, measured with random weights: ",
           preset_list(), ".", did_you_mean(name, preset_names()));
  return {name, load_model_config(name), false, false};
}

LayerPlan variant_layers(const std::string& variant, const ModelConfig& config) {
  if (variant == "model") return config.layers;
  if (variant == "full") return LayerPlan::all_full(config.num_layers);
  LG_CHECK(variant == "hybrid", "--compare: expected model, full or hybrid, found \"", variant,
           "\".");
  if (config.is_hybrid()) return config.layers;
  return parse_layer_plan("middle:1/3", "sink", config.layers);
}

std::vector<ModelCut> cuts_of(const ModelSubject& subject, const std::string& variant) {
  const LayerPlan layers = variant_layers(variant, subject.config);
  const int64_t num_layers = subject.config.num_layers;
  if (!subject.is_extrapolated) return {{"whole", num_layers, layers}};
  std::vector<ModelCut> cuts = {{"full-1", 1, LayerPlan::all_full(1)},
                                {"full-2", 2, LayerPlan::all_full(2)}};
  if (!layers.is_all_full()) {
    cuts.push_back({"mixed-2", 2, LayerPlan::hybrid(2, {0}, layers.sparse())});
  }
  return cuts;
}

ModelCut find_cut(const ModelSubject& subject, const std::string& variant,
                  const std::string& name) {
  for (ModelCut& cut : cuts_of(subject, variant)) {
    if (cut.name == name) return std::move(cut);
  }
  LG_FAIL("[bench model] ", subject.name, " has no part \"", name, "\".");
}

double combine_cuts(const std::vector<double>& values, const LayerPlan& layers,
                    int64_t num_layers) {
  if (values.size() == 1) return values[0];
  const int64_t num_full = layers.count(LayerPlan::kFull);
  double total = values[0] + static_cast<double>(num_full - 1) * (values[1] - values[0]);
  if (values.size() == 3) {
    total += static_cast<double>(num_layers - num_full) * (values[2] - values[0]);
  }
  return total;
}

ModelConfig cut_config(const ModelSubject& subject, const ModelCut& cut) {
  ModelConfig config = subject.config;
  config.num_layers = cut.num_layers;
  config.layers = cut.layers;
  return config;
}

ModelWeights cut_weights(const ModelSubject& subject, const ModelCut& cut, at::ScalarType dtype,
                         at::Device device) {
  if (subject.has_random_weights) {
    return random_weights(cut_config(subject, cut), dtype, kSeed, device);
  }
  return load_model(subject.name, {.dtype = dtype, .device = device}).weights();
}

}  // namespace longgen
