// eval/suite/packed_pass.h: tokens of many sequences through the layers, in steps that are full.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>

#include "longgen/engine/engine.h"

namespace longgen {

/// The tokens that a sequence gets.
struct PackedPart {
  SequenceId sequence;
  std::span<const int32_t> tokens;  ///< at least one
};

/// Rows of a step that belong to one part.
struct PackedChunk {
  size_t part;
  int64_t first_token;  ///< of the part
  int64_t num_tokens;
};

/// Gets the hidden states (T, E) of a step, on the decoder's device: those of the chunks, one after
/// the other.
using OnPackedRows =
    std::function<void(const at::Tensor& hidden_TE, std::span<const PackedChunk> chunks)>;

/// Takes all parts through the layers in order, step_tokens of them a step; a part is divided where
/// a step is full. Returns false where `goes_on`, which is asked after each layer, ended it. Throws
/// Error where the pages of the engine do not suffice.
bool pass_packed(Engine& engine, std::span<const PackedPart> parts, int64_t step_tokens,
                 const OnPackedRows& on_rows, const std::function<bool()>& goes_on);

}  // namespace longgen
