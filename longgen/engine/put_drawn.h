// engine/put_drawn.h: tokens that were drawn in the step before, as inputs of the next one.
#pragma once

#include <ATen/core/Tensor.h>

#include "longgen/engine/gpu_draws.h"

namespace longgen {

/// Of tokens (T) int64, each that is token_in_slot() (engine/engine.h) becomes the one that stands
/// in drawn_S, on the same device.
inline void put_drawn(const at::Tensor& tokens_T, const at::Tensor& drawn_S) {
  if (tokens_T.is_cuda()) return gpu::draws().put_drawn(tokens_T, drawn_S);
  auto* const tokens = tokens_T.data_ptr<int64_t>();
  const auto* const drawn = drawn_S.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < tokens_T.numel(); ++i) {
    if (tokens[i] < 0) tokens[i] = drawn[-1 - tokens[i]];
  }
}

}  // namespace longgen
