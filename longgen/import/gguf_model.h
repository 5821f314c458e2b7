// import/gguf_model.h: the weights of a GGUF file, in the terms of a model directory.
#pragma once

#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "longgen/checkpoint/gguf.h"
#include "longgen/model/config.h"

namespace longgen {

/// Reads tensors under their Hugging Face names.
class GgufWeights {
 public:
  /// Throws Error where the file lacks a tensor that the config needs, has it in another shape or
  /// in a type that longgen cannot expand, or holds one that is no part of the model.
  GgufWeights(const GgufFile& file, const ModelConfig& config);

  /// Returns the tensor in fp32, in the row order of Hugging Face.
  std::vector<float> read(const std::string& hugging_face_name) const;
  /// Returns "Q4_1, F32": the types of the tensors, most bytes first.
  std::string types() const;

 private:
  struct Tensor {
    const GgufFile::Tensor* data;
    bool rotated;  ///< as in TensorPart
  };

  const GgufFile& file_;
  const ModelConfig& config_;
  std::unordered_map<std::string, Tensor> tensors_;  ///< by their Hugging Face names
};

}  // namespace longgen
