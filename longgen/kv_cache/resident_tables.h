// kv_cache/resident_tables.h: the page tables of sequences that take one token a step, which stay
// in the memory of a GPU; a step writes what is new.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "longgen/kv_cache/gpu_cache.h"
#include "longgen/kv_cache/resident_rows.h"

namespace longgen {

/// The tables lie in one range of addresses of the GPU, into which memory comes as rows need it
/// (ResidentRows), so that nothing moves: a CUDA graph that reads the tables of some number of rows
/// does the step of any sequences. What a step changes is written to one of two buffers in pinned
/// memory, and brought from there by one kernel, so that the step before need not have ended, but
/// only the one before that.
class ResidentTables {
 public:
  /// Steps have up to max_rows rows. The layout must outlive it. Throws Error where the GPU has no
  /// addresses left.
  ResidentTables(const KvLayout& layout, at::Device device, int64_t max_rows);

  /// Makes the tables those of a step over parts that have reserved one token each, or none, and of
  /// num_rows rows (ResidentRows::update()), when the current stream gets to it. Throws Error where
  /// the GPU has no memory for them; the next call uploads everything again then.
  PassTables update(const std::vector<PassPart>& parts, int64_t num_rows);
  /// Forgets a sequence, before its cache goes.
  void forget(const SequenceCache& cache) { rows_.forget(cache); }

 private:
  struct Buffer {
    at::Tensor pinned;
    c10::Event read{c10::DeviceType::CUDA};  // when the GPU has read it
  };
  void plan(const std::vector<PassPart>& parts, int64_t num_rows);
  bool has_room(int64_t num_units);
  void upload(Buffer& buffer);

  at::Device device_;
  ResidentRows rows_;
  std::array<Buffer, 2> buffers_;
  size_t next_buffer_ = 0;
  std::unique_ptr<PageMemory> memory_;  // goes first, which waits for who reads the buffers
  std::byte* begin_ = nullptr;
  int64_t num_units_ = 0;  // that have memory
};

}  // namespace longgen
