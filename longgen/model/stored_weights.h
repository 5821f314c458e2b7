// model/stored_weights.h: what the tensors of a model directory say beside its config.json.
#pragma once

#include <string>
#include <unordered_map>

#include "longgen/checkpoint/safetensors.h"
#include "longgen/model/config.h"

namespace longgen {

/// Throws Error unless every tensor that the config needs is there, in its shape and as F32, F16 or
/// BF16, and no other. Errors name `directory`.
void check_weights(const SafetensorsSet& files, const ModelConfig& config,
                   const std::string& directory);

/// Whether the weights hold an output layer (lm_head.weight) with other numbers than the embedding.
/// It is false where there is none, or no weights that can be read: whoever needs them says so.
bool has_head_of_its_own(const fs::path& model_directory);

/// The types in which tensors are stored.
class StoredTypes {
 public:
  /// Stores all tensors in one type.
  explicit StoredTypes(DType dtype) : main_(dtype) {}
  /// Stores tensors as the model in `files` has them, which check_weights() accepts.
  StoredTypes(const SafetensorsSet& files, const ModelConfig& config);

  /// Gives the type of one tensor; main() for one that the files did not have.
  DType of(const std::string& name) const;
  /// Gives the type of most bytes, which config.json says of the whole.
  DType main() const { return main_; }
  /// Returns "BF16", or "BF16, F32": most bytes first.
  std::string names() const;

 private:
  std::unordered_map<std::string, DType> by_name_;
  DType main_ = DType::f32;
  std::string names_;
};

}  // namespace longgen
