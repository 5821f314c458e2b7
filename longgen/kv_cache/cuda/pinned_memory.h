// kv_cache/cuda/pinned_memory.h: memory of the host that a GPU copies from and to by itself.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "longgen/kv_cache/page_pool.h"

namespace longgen::cuda {

/// Is taken from the system and freed as it is: torch's own pinned memory comes in powers of two.
class PinnedMemory : public PageMemory {
 public:
  explicit PinnedMemory(c10::Device gpu) : gpu_(gpu) {}
  ~PinnedMemory() override;
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;

  std::byte* add(int64_t bytes) override;
  void copy(std::byte* to, const std::byte* from, int64_t bytes) const override;
  c10::Device device() const override { return c10::kCPU; }

 private:
  c10::Device gpu_;
  std::vector<void*> slabs_;
};

}  // namespace longgen::cuda
