// kv_cache/pass_tables.h: what the GPU kernels are told of a forward pass: its sequences, and which
// page holds which block. Built once for all layers, in one run of memory.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "longgen/attention/cuda/problem.h"
#include "longgen/kv_cache/cache_pass.h"
#include "longgen/kv_cache/pass_rows.h"

namespace longgen {

/// Tables of the pass for which every cache has reserved its tokens: int32 numbers in the order of
/// the accessors. Only blocks that have a page are listed, so a kernel reads what is live and
/// nothing else. The accessors point into memory(), wherever it is. Those of ResidentTables begin
/// there, too, but their blocks lie in rows with gaps.
class PassTables {
 public:
  /// Makes the tables of a pass, in pinned memory of the CPU if `pinned`. All caches have one
  /// layout. Throws Error where positions do not fit into 31 bits.
  static PassTables make(const std::vector<PassPart>& parts, bool pinned);
  /// These tables elsewhere, for example in the memory that a CUDA graph reads: `memory` is an
  /// int32 vector that holds a copy of the first num_values() numbers, now or later.
  PassTables at(const at::Tensor& memory) const;
  /// A copy on a GPU, made when the current stream gets to it.
  PassTables to(at::Device device) const;

  const at::Tensor& memory() const { return memory_; }
  int64_t num_values() const { return places_.end; }
  int64_t num_sequences() const { return num_sequences_; }
  int64_t num_kv_heads() const { return num_kv_heads_; }
  int64_t num_runs() const { return num_runs_; }
  int64_t num_tiles() const { return num_tiles_; }
  int64_t num_rows() const { return num_rows_; }
  /// How many tokens the longest sequence of the pass has.
  int64_t max_tokens() const { return max_tokens_; }

  const PassSequence* sequences() const { return reinterpret_cast<PassSequence*>(data()); }
  const PassRun* runs() const { return reinterpret_cast<PassRun*>(data() + places_.runs); }
  /// (K, num_runs): the page of each run, -1 where none is needed.
  const int32_t* run_pages(int64_t group) const {
    return data() + places_.run_pages + group * num_kv_heads_ * num_runs_;
  }
  /// (N * K + 1): sequence n and KV head k have blocks starts[n * K + k] up to starts[n * K + k +
  /// 1] of all that are listed.
  const int32_t* starts(int64_t group) const {
    return data() + places_.starts + group * (num_sequences_ * num_kv_heads_ + 1);
  }
  /// (N * K): where the first block of each of these lies in blocks(). Null: where its number says.
  const int32_t* row_begins(int64_t group) const {
    if (places_.row_begins < 0) return nullptr;
    return data() + places_.row_begins + group * num_kv_heads_ * num_sequences_;
  }
  /// The tiles of query rows, at multiples of cuda::kTileRows positions. Those of
  /// a sequence ascend.
  const cuda::TileOfRows* tiles() const {
    return reinterpret_cast<cuda::TileOfRows*>(data() + places_.tiles);
  }
  /// The blocks of each sequence and KV head, in ascending order.
  const PassBlock* blocks() const { return reinterpret_cast<PassBlock*>(data() + places_.blocks); }

 private:
  friend class ResidentRows;
  /// Where the tables begin, as indices of numbers.
  struct Places {
    int64_t runs, run_pages, starts, tiles, blocks, end;
    int64_t row_begins = -1;
  };
  int32_t* data() const { return memory_.data_ptr<int32_t>(); }
  void set_sizes(const std::vector<PassPart>& parts);
  void fill_rows(const std::vector<PassPart>& parts) const;
  void fill_tiles(const std::vector<PassPart>& parts) const;
  void fill_blocks(const std::vector<PassPart>& parts) const;

  at::Tensor memory_;
  int64_t num_sequences_ = 0, num_kv_heads_ = 0, num_groups_ = 0;
  int64_t num_runs_ = 0, num_tiles_ = 0, num_rows_ = 0, max_tokens_ = 0;
  Places places_ = {};
};

}  // namespace longgen
