#include "longgen/ops/gpu_memory.h"

#include <c10/core/CachingDeviceAllocator.h>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/ops/gpu_ops.h"

namespace longgen {

GpuMemory gpu_memory() {
  if (!gpu::has_kernels()) return {};
  c10::DeviceAllocator* const allocator = c10::getDeviceAllocator(c10::DeviceType::CUDA);
  if (!allocator->initialized()) return {};
  const auto all = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const c10::CachingDeviceAllocator::DeviceStats stats = allocator->getDeviceStats(0);
  const auto [free, total] = allocator->getMemoryInfo(0);
  return {.allocated = stats.allocated_bytes[all].current,
          .peak_allocated = stats.allocated_bytes[all].peak,
          .reserved = stats.reserved_bytes[all].current,
          .peak_reserved = stats.reserved_bytes[all].peak,
          .free = static_cast<int64_t>(free),
          .total = static_cast<int64_t>(total)};
}

void reset_gpu_peaks() {
  if (!gpu::has_kernels()) return;
  c10::DeviceAllocator* const allocator = c10::getDeviceAllocator(c10::DeviceType::CUDA);
  if (allocator->initialized()) allocator->resetPeakStats(0);
}

std::string out_of_gpu_memory() {
  const GpuMemory memory = gpu_memory();
  const int64_t others = memory.total - memory.free - memory.reserved;
  return detail::concat("out of memory on the GPU: tensors held up to ",
                        format_bytes(memory.peak_allocated), " of its ", format_bytes(memory.total),
                        ", CUDA and other programs ", format_bytes(others), ".");
}

}  // namespace longgen
