// device/gpu_plugin.h: finds GPUs, and loads the kernels for them.
#pragma once

#include <filesystem>
#include <string>

#include "longgen/device/gpu_backend.h"

namespace longgen {

/// Why there is no GPU to use, as a sentence: no NVIDIA driver, or none of its devices is visible
/// to this process. Empty where there is one; whether everything else is there too is what
/// load_gpu_plugin() says. Asks the driver alone, once.
const std::string& missing_gpu();

/// Where the plug-in is expected: beside liblonggen_ops.so, which it links; in a program without
/// that library beside the program.
std::filesystem::path gpu_plugin_file();

/// Loads libtorch_cuda.so and liblonggen_cuda.so, which gives the backend and registers the ops of
/// torch.ops.longgen for CUDA tensors, if the machine has a GPU. Must be called before anything
/// asks torch about CUDA: torch remembers the answer. Later calls return the first one's result.
///   returns  an empty string if the GPU can be used, otherwise what is missing, as a sentence.
const std::string& load_gpu_plugin();

struct OpenedPlugin {
  const GpuBackend* backend;  ///< null if it cannot be used
  std::string fault;          ///< why, as a sentence
};
/// Opens a file as the plug-in, whether or not there is a GPU, and asks it for its backend, without
/// making that the one of find_gpu_backend(). What it links must have been loaded before.
OpenedPlugin open_gpu_plugin(const std::filesystem::path& file);

/// How many GPUs the driver offers this process; 0 where the plug-in is not loaded.
int num_gpus();
/// The GPU of a number, counted from 0.
inline c10::Device nth_gpu(int index) { return {c10::kCUDA, static_cast<c10::DeviceIndex>(index)}; }
/// Why there is no GPU of that number where there are `count`, as a sentence; empty if there is.
std::string missing_gpu_number(int index, int count);

}  // namespace longgen
