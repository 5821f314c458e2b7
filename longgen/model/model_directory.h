// model/model_directory.h: decoders from model directories and back.
#pragma once

#include "longgen/base/files.h"
#include "longgen/checkpoint/safetensors.h"
#include "longgen/model/decoder.h"

namespace longgen {

struct LoadOptions {
  at::ScalarType dtype = at::kFloat;  ///< fp32 or bf16
  at::Device device = at::kCPU;
};

/// Reads config.json and the safetensors of a Hugging Face model directory. Throws Error naming
/// file and tensor where one is missing, has another shape, or is no part of the model.
Decoder load_model(const fs::path& directory, const LoadOptions& options = {});

/// Writes config.json and model*.safetensors into a folder that exists (build it in an
/// AtomicDirectory); tensors are stored in `dtype`: fp32, fp16 or bf16.
void save_model(const fs::path& directory, const ModelConfig& config, const ModelWeights& weights,
                at::ScalarType dtype);

}  // namespace longgen
