// attention/gpu_plugin.h: finds a GPU, and loads the kernels for it. The program links
// nothing of CUDA.
#pragma once

#include <string>

namespace longgen {

/// Why there is no GPU to use, as a sentence: no NVIDIA driver, or none of its devices is visible
/// to this process. Empty where there is one; whether everything else is there too is what
/// load_gpu_plugin() says. Asks the driver alone, once.
const std::string& missing_gpu();

/// Loads libtorch_cuda.so and liblonggen_cuda.so, which registers the ops for CUDA tensors, if the
/// machine has a GPU. Must be called before anything asks torch about CUDA: torch remembers the
/// answer. Later calls return the first one's result.
///   returns  an empty string if the GPU can be used, otherwise what is missing, as a sentence.
const std::string& load_gpu_plugin();

}  // namespace longgen
