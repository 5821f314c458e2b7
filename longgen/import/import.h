// import/import.h: model directories from GGUF files and Hugging Face directories. Tensors pass
// through one by one: memory is that of the largest.
#pragma once

#include <optional>
#include <string>

#include "longgen/base/files.h"
#include "longgen/model/config.h"

namespace longgen {

struct ImportOptions {
  /// How tensors are stored: f32, f16 or bf16. Without it each tensor of a Hugging Face directory
  /// keeps its own, and a GGUF file, whose blocks expand to fp32 exactly, gives f32.
  std::optional<DType> dtype = std::nullopt;
  /// How a GGUF file's tokenizer splits words, in place of its key tokenizer.ggml.pre
  /// (gguf_vocabulary.h). Empty: as the file says. It is an error where there is nothing to name.
  std::string pre_tokenizer = {};
  bool replace = false;  ///< an output that exists is replaced
  bool show_progress = true;
};

struct ImportSummary {
  ModelConfig config;
  std::string source_kind;  ///< "GGUF file (Q4_1, F32)" or "Hugging Face directory (BF16)"
  std::string stored;       ///< "F32", or "BF16, F32": most bytes first
  int64_t num_tensors = 0;
  int64_t stored_bytes = 0;
};

/// Writes a model directory that longgen and transformers open: weights, config.json, tokenizer and
/// generation_config.json. It appears whole or not at all. Throws Error naming file, field or
/// tensor, what was expected and what was found; whatever a command that runs the model would
/// refuse is refused before any weight is written, and a number that does not fit options.dtype
/// when its tensor's turn comes. Warns of unknown fields, and of tensors with NaN or infinities,
/// which stay as they are.
ImportSummary import_model(const fs::path& source, const fs::path& output,
                           const ImportOptions& options = {});

/// Writes a model with the same weights and another config (convert): the weight files are linked
/// where the file system can, otherwise copied. config.json says the type that the tensors have.
/// Throws Error before anything is written if longgen would not read the result.
void rewrite_config(const fs::path& source, const fs::path& output, const ModelConfig& config,
                    bool replace);

}  // namespace longgen
