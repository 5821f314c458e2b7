// kv_cache/cuda/device_memory.h: memory of a GPU that grows without moving.
#pragma once

#include <cuda.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "longgen/kv_cache/page_pool.h"

namespace longgen::cuda {

/// A range of addresses is reserved at the start; memory is mapped into it when it is added (the
/// driver's virtual memory management), so that what lies there stays where it is.
class DeviceMemory : public PageMemory {
 public:
  /// Reserves addresses for max_bytes, or for as much as the GPU has. Throws Error where
  /// the driver refuses.
  DeviceMemory(c10::Device device, std::optional<int64_t> max_bytes);
  ~DeviceMemory() override;
  DeviceMemory(const DeviceMemory&) = delete;
  DeviceMemory& operator=(const DeviceMemory&) = delete;

  std::byte* add(int64_t bytes) override;
  void copy(std::byte* to, const std::byte* from, int64_t bytes) const override;
  c10::Device device() const override { return device_; }

 private:
  struct Piece {
    CUmemGenericAllocationHandle handle;
    size_t bytes;
  };
  bool map(size_t bytes);
  CUmemAllocationProp properties() const;

  c10::Device device_;
  size_t granularity_ = 0;
  CUdeviceptr base_ = 0;
  size_t reserved_ = 0, mapped_ = 0, used_ = 0;
  std::vector<Piece> pieces_;  // one after the other from base_
};

}  // namespace longgen::cuda
