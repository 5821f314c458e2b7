// plan/activations.h: what a training step keeps of its forward pass, and where.
#pragma once

#include "longgen/base/choice.h"

namespace longgen {

/// What the backward pass computes again instead of reading it from memory.
enum class Recomputation {
  layers,                 ///< layer inputs are kept, layers are computed again
  layers_keep_attention,  ///< layer inputs and what attention gave are kept, the rest is made again
  none,                   ///< all activations of all layers are kept
};
/// Names as --recompute and a recipe's train.recompute take them.
inline constexpr Choice<Recomputation, 3> kRecomputations{
    {{{"layers", Recomputation::layers},
      {"layers_keep_attention", Recomputation::layers_keep_attention},
      {"none", Recomputation::none}}}};

/// What waits for the backward pass in the host's memory instead of on the GPU.
enum class Offloading {
  none,
  layer_inputs,  ///< all but the one in use and the next one
};
/// Names as --offload and a recipe's train.offload take them.
inline constexpr Choice<Offloading, 2> kOffloadings{
    {{{"none", Offloading::none}, {"layer_inputs", Offloading::layer_inputs}}}};

}  // namespace longgen
