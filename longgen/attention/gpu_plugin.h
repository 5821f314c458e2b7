// attention/gpu_plugin.h: finds and loads the GPU kernels. Nothing of CUDA is linked by the
// program.
#pragma once

#include <string>

namespace longgen {

/// Loads libtorch_cuda.so and liblonggen_cuda.so, which registers the ops for CUDA tensors, if the
/// machine has an NVIDIA driver. Must be called before anything asks torch about CUDA: torch
/// remembers the answer. Later calls return the first one's result.
///   returns  an empty string if the GPU can be used, otherwise what is missing, as a sentence.
const std::string& load_gpu_plugin();

}  // namespace longgen
