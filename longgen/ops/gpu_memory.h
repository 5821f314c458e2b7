// ops/gpu_memory.h: what this process holds of a GPU's memory.
#pragma once

#include <cstdint>
#include <string>

namespace longgen {

/// The memory of the first GPU in bytes; all 0 where the plug-in is not loaded. Tensors are
/// allocated from what is reserved; what they free stays reserved for the next ones.
struct GpuMemory {
  int64_t allocated = 0, peak_allocated = 0;
  int64_t reserved = 0,
          peak_reserved = 0;    ///< as nvidia-smi shows it, without the libraries' share
  int64_t free = 0, total = 0;  ///< of the device, whoever holds it
};
GpuMemory gpu_memory();
/// Begins the peaks anew, with what follows. Nothing happens where the plug-in is not loaded.
void reset_gpu_peaks();

/// Says in a sentence, without advice, what a caught c10::OutOfMemoryError means: "out of memory on
/// the GPU: tensors held up to 70.1 GiB of its 79.2 GiB, ...".
std::string out_of_gpu_memory();

}  // namespace longgen
