// model/model_directory.h: decoders from model directories and back.
#pragma once

#include "longgen/base/files.h"
#include "longgen/checkpoint/safetensors.h"
#include "longgen/model/decoder.h"
#include "longgen/model/stored_weights.h"

namespace longgen {

struct LoadOptions {
  at::ScalarType dtype = at::kFloat;  ///< fp32 or bf16
  at::Device device = at::kCPU;
};

/// Reads config.json and the safetensors of a Hugging Face model directory. Throws Error naming
/// file and tensor where one is missing, has another shape, or is no part of the model. Warns of
/// fields of config.json that longgen does not know.
Decoder load_model(const fs::path& directory, const LoadOptions& options = {});

/// Says how a model directory's tensors are stored, for save_model(). Throws Error as load_model().
StoredTypes stored_types(const fs::path& directory);

/// Writes config.json and model*.safetensors into a folder that exists (build it in an
/// AtomicDirectory). A tensor that holds a finite number beyond the range of its type is stored as
/// fp32 instead, with a warning: what was trained is not lost.
void save_model(const fs::path& directory, const ModelConfig& config, const ModelWeights& weights,
                const StoredTypes& types);
/// Writes all tensors in one type: fp32, fp16 or bf16.
void save_model(const fs::path& directory, const ModelConfig& config, const ModelWeights& weights,
                at::ScalarType dtype);

}  // namespace longgen
