#include "longgen/device/gpu_memory.h"

#include <c10/core/CachingDeviceAllocator.h>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/device/gpu_plugin.h"

namespace longgen {
namespace {

/// Null where no tensor of the device can have been allocated.
c10::DeviceAllocator* allocator_of(c10::Device device) {
  if (!device.is_cuda() || find_gpu_backend() == nullptr) return nullptr;
  c10::DeviceAllocator* const allocator = c10::getDeviceAllocator(c10::DeviceType::CUDA);
  return allocator->initialized() ? allocator : nullptr;
}

}  // namespace

GpuMemory gpu_memory(c10::Device device) {
  c10::DeviceAllocator* const allocator = allocator_of(device);
  if (allocator == nullptr) return {};
  const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const c10::CachingDeviceAllocator::DeviceStats stats = allocator->getDeviceStats(device.index());
  const auto [free, total] = allocator->getMemoryInfo(device.index());
  return {.allocated = stats.allocated_bytes[all].current,
          .peak_allocated = stats.allocated_bytes[all].peak,
          .reserved = stats.reserved_bytes[all].current,
          .peak_reserved = stats.reserved_bytes[all].peak,
          .free = static_cast<int64_t>(free),
          .total = static_cast<int64_t>(total)};
}

void reset_gpu_peaks(c10::Device device) {
  c10::DeviceAllocator* const allocator = allocator_of(device);
  if (allocator != nullptr) allocator->resetPeakStats(device.index());
}

std::string out_of_gpu_memory() {
  GpuMemory most;
  for (int index = 0; index < num_gpus(); ++index) {
    const GpuMemory memory = gpu_memory(nth_gpu(index));
    if (index == 0 || memory.peak_reserved > most.peak_reserved) most = memory;
  }
  const int64_t others = most.total - most.free - most.reserved;
  return detail::concat("out of memory on the GPU: tensors held up to ",
                        format_bytes(most.peak_allocated), " of its ", format_bytes(most.total),
                        ", CUDA and other programs ", format_bytes(others), ".");
}

}  // namespace longgen
