// kv_cache/cuda/kernels.h: launches the kernels of the KV cache. Plain numbers and pointers, no
// torch. All return the first error of CUDA.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "longgen/attention/cuda/problem.h"
#include "longgen/kv_cache/pass_rows.h"

namespace longgen::cuda {

/// Keys and values of one layer: what a kernel that reads pages must know (see GpuCache,
/// PassTables). Of all blocks that are listed, those of pair n * K + k, sequence n and KV head k,
/// are starts[pair] up to starts[pair + 1]; this divides the work.
struct PagedKeys {
  const std::byte* memory;
  int64_t page_bytes;
  const PassSequence* sequences;
  const int32_t* starts;
  const int32_t* row_begins;  // null: the blocks of all pairs follow one another
  const PassBlock* blocks;
  int num_sequences, num_kv_heads, window_blocks;

  /// The first block of a pair; the others of the pair follow.
  LG_DEVICE const PassBlock* row(int pair) const {
    return blocks + (row_begins != nullptr ? row_begins[pair] : starts[pair]);
  }
};

/// Where the new rows of one layer go.
struct PagedRuns {
  std::byte* memory;
  int64_t page_bytes;
  const PassRun* runs;
  const int32_t* run_pages;  // (K, num_runs)
  int num_runs, num_kv_heads, head_size;
};

struct WriteArguments {
  HeadRows k, v;
  PagedRuns to;
};
cudaError_t write_pages(const WriteArguments& arguments, cudaStream_t stream);

/// The arguments of a write with the norm of heads and RoPE before it.
struct PrepareArguments {
  HeadRows heads;    // (T, H + 2 K, D): q, k, v
  const float* cos;  // (T, D / 2), contiguous, 16-byte aligned
  const float* sin;
  const void* q_norm;  // (D) bf16, 16-byte aligned; null: none
  const void* k_norm;
  float norm_eps;
  void* q;  // (T, H, D) bf16, contiguous
  int num_heads;
  PagedRuns to;
};
cudaError_t prepare_and_write_pages(const PrepareArguments& arguments, cudaStream_t stream);

/// Attends for many query tokens: out (num_rows, H, D) bf16, contiguous. k, v, num_keys and
/// sequences of the problem are not read; its tiles are those of PassTables.
cudaError_t prefill(const AttendProblem& problem, const PagedKeys& keys, void* out,
                    cudaStream_t stream);

/// The arguments of attention for few query tokens.
struct DecodeArguments {
  PagedKeys keys;
  HeadRows q;
  void* out;        // (T, H, D) bf16, contiguous
  float* partials;  // DecodeShape::num_partials
  int* counters;    // DecodeShape::num_counters, zero before and after
  int num_heads, head_size;
  float scale;
};
/// How a launch divides. Equal for equal (max_tokens, heads, GPU), so that two runs, and a graph,
/// add in the same order.
struct DecodeShape {
  /// `group` is the number of query heads of a KV head, max_tokens the most query tokens
  /// of a sequence.
  DecodeShape(int64_t max_tokens, int group, int head_size, int num_multiprocessors);
  int row_tiles;   // of 16 rows, in one CTA
  int row_groups;  // CTAs that share keys
  int shares;      // parts of the keys
  int64_t num_partials, num_counters;
};
cudaError_t decode(const DecodeArguments& arguments, const DecodeShape& shape, cudaStream_t stream);

/// GpuCache::scatter(). The pieces and their units lie in memory of the host that the device reads.
cudaError_t scatter(void* to, const void* upload, int num_pieces, cudaStream_t stream);

}  // namespace longgen::cuda
