// kv_cache/cuda/page_format.h: what lies inside a page on a GPU. No torch.
//
// Slot after slot, one for each layer of the group: K, then V, each as D / 64 panels. A panel has
// 64 rows (tokens) of 64 bf16 (128 bytes); the 16-byte chunk c of row r lies at chunk c ^ (r % 8).
// That is the 128-byte swizzle of wgmma and of tensor maps (attention/cuda/wgmma.cuh): one copy
// brings K or V of a block to shared memory, where ldmatrix reads it without bank conflicts and
// wgmma reads it as it is. Places of tokens that are not written yet are zero.
#pragma once

#include "longgen/attention/cuda/problem.h"

namespace longgen::cuda {

constexpr int kPanelBytes = kBlock * 128;
constexpr int kChunkBytes = 16;
constexpr int kChunkValues = 8;

/// The size in bytes of K, or of V, of one block of one KV head of one layer.
constexpr int side_bytes(int head_size) { return kBlock * head_size * 2; }

/// Where values [8 * chunk, 8 * chunk + 8) of row `row` lie in panels of `rows` rows.
constexpr int chunk_offset(int row, int chunk, int rows = kBlock) {
  return chunk / 8 * rows * 128 + row * 128 + ((chunk % 8) ^ (row % 8)) * kChunkBytes;
}

}  // namespace longgen::cuda
