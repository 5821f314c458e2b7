// bench/model_subject.h: which model `longgen bench model` measures.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/model/decoder.h"

namespace longgen {

/// A model directory, or a preset, whose weights are random.
struct ModelSubject {
  std::string name;    ///< as given
  ModelConfig config;  ///< of the whole model
  bool has_random_weights = false;
  /// Too large for one device: models of one and of two of its layers are measured, and what a
  /// layer adds is taken for all of them ("llama2-70b-layer").
  bool is_extrapolated = false;
};
/// Throws Error naming the presets where there is no such directory.
ModelSubject find_subject(const std::string& name);

/// The layers of a variant. "model": as they are. "full": all full. "hybrid": as they are if some
/// are sparse, else the middle third full and the others sink. Throws Error naming the three.
LayerPlan variant_layers(const std::string& variant, const ModelConfig& config);

/// What one process measures: the whole model, or the first layers of one that is
/// extrapolated. Cut models are "full-1", "full-2" (every layer full) and "mixed-2" (a full
/// layer and a sparse one).
struct ModelCut {
  std::string name;
  int64_t num_layers = 0;
  LayerPlan layers;
};
/// The cuts that a variant is made of: one (the whole model), two (full-1, full-2), or
/// three (mixed-2, too).
std::vector<ModelCut> cuts_of(const ModelSubject& subject, const std::string& variant);
/// The cut with this name.
ModelCut find_cut(const ModelSubject& subject, const std::string& variant, const std::string& name);

/// The value of the variant's whole model, from values that were measured on its cuts, in the
/// order of cuts_of().
double combine_cuts(const std::vector<double>& values, const LayerPlan& layers, int64_t num_layers);

/// The weights of the cut, in dtype on the device. Random ones are those of the preset's init_std
/// and seed 1.
ModelWeights cut_weights(const ModelSubject& subject, const ModelCut& cut, at::ScalarType dtype,
                         at::Device device);
ModelConfig cut_config(const ModelSubject& subject, const ModelCut& cut);

}  // namespace longgen
