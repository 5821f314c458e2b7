// device/gpu_memory.h: what this process holds of a GPU's memory.
#pragma once

#include <c10/core/Device.h>

#include <cstdint>
#include <string>

namespace longgen {

/// The memory of a GPU in bytes. Tensors are allocated from what is reserved; what they free stays
/// reserved for the next ones.
struct GpuMemory {
  int64_t allocated = 0, peak_allocated = 0;
  int64_t reserved = 0,
          peak_reserved = 0;    ///< as nvidia-smi shows it, without the libraries' share
  int64_t free = 0, total = 0;  ///< of the device, whoever holds it
};
/// All 0 for the CPU, and where torch has not begun to use GPUs.
GpuMemory gpu_memory(c10::Device device);
/// Begins the peaks of the GPU anew, with what follows. Nothing happens where gpu_memory() is 0.
void reset_gpu_peaks(c10::Device device);

/// Says in a sentence, without advice, what a caught c10::OutOfMemoryError means: "out of memory on
/// the GPU: tensors held up to 70.1 GiB of its 79.2 GiB, ...". Of several GPUs it is the one of
/// which this process holds most.
std::string out_of_gpu_memory();

}  // namespace longgen
