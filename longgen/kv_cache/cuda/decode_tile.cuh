// kv_cache/cuda/decode_tile.cuh: 16 query rows and a warp's quarter of every block of keys: scores,
// softmax, output. No two warps wait for each other here.
#pragma once

#include <cuda_bf16.h>

#include "longgen/attention/cuda/softmax.cuh"
#include "longgen/kv_cache/cuda/mma.cuh"
#include "longgen/kv_cache/cuda/page_format.h"
#include "longgen/kv_cache/pass_rows.h"

namespace longgen::cuda {

constexpr int kDecodeRows = 16;
constexpr int kTileWarps = 4;  // each for 16 keys of a block
constexpr unsigned kAllLanes = 0xffffffff;

/// A row that has seen no key yet has a maximum of -inf, and -inf - -inf would be NaN.
__device__ __forceinline__ float finite(float maximum) {
  return maximum == -INFINITY ? 0.0f : maximum;
}

/// What a consumer warp holds of its 16 rows. The CTA has kRows rows.
template <int kHeadSize, int kRows>
struct DecodeTile {
  static constexpr int kColumnGroups = kHeadSize / 8;
  const int lane = threadIdx.x % 32;
  const int tile = threadIdx.x / 32 / kTileWarps, quarter = threadIdx.x / 32 % kTileWarps;

  int first_query_block, last_query_block;
  int position[2];  // of rows lane / 4 and lane / 4 + 8 of the tile
  uint32_t queries[kHeadSize / 16][4];
  float out[kColumnGroups][4];
  float top[2], sum[2];  // scores in units of log 2; sums of this lane only

  /// The row of the CTA that this lane holds.
  __device__ __forceinline__ int lane_row(int half) const {
    return tile * kDecodeRows + half * 8 + lane / 4;
  }

  __device__ __forceinline__ void clear() {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      top[half] = -INFINITY;
      sum[half] = 0;
    }
#pragma unroll
    for (int c = 0; c < kColumnGroups; ++c) {
#pragma unroll
      for (int j = 0; j < 4; ++j) out[c][j] = 0;
    }
  }

  /// The address of 16-byte chunk 2 * i + high of a lane's row in a load of four matrices.
  template <int kPanelRows>
  __device__ __forceinline__ static uint32_t chunk_address(uint32_t base, int row, int high,
                                                           int i) {
    return base + i / 4 * (kPanelRows * 128) + row * 128 +
           ((i % 4 * 2 * kChunkBytes) ^ ((high ^ (row % 8)) * kChunkBytes));
  }

  __device__ __forceinline__ void load_queries(uint32_t rows) {
    // The four matrices are those of the rows first, then of the columns.
    const int row = tile * kDecodeRows + lane / 8 % 2 * 8 + lane % 8, high = lane / 16;
#pragma unroll
    for (int i = 0; i < kHeadSize / 16; ++i) {
      load_matrices(queries[i], chunk_address<kRows>(rows, row, high, i));
    }
  }

  __device__ __forceinline__ void multiply_keys(float (&scores)[2][4], uint32_t keys) const {
    // Matrices: keys 0 to 7 and 8 to 15, each with columns 0 to 7 and 8 to 15. Two sums at a time,
    // so that a product need not wait for the one before.
    const int key = quarter * 16 + lane / 16 * 8 + lane % 8, high = lane / 8 % 2;
    float sums[2][2][4] = {};
#pragma unroll
    for (int i = 0; i < kHeadSize / 16; ++i) {
      uint32_t k[4];
      load_matrices(k, chunk_address<kBlock>(keys, key, high, i));
      multiply_add(sums[i % 2][0], queries[i], k[0], k[1]);
      multiply_add(sums[i % 2][1], queries[i], k[2], k[3]);
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
#pragma unroll
      for (int j = 0; j < 4; ++j) scores[half][j] = sums[0][half][j] + sums[1][half][j];
    }
  }

  /// Scales the scores and makes them -inf where the row does not see the key.
  __device__ __forceinline__ void mask(float (&scores)[2][4], PassBlock block, int window,
                                       float scale_log2) const {
    const bool all_seen = block.block() < first_query_block &&
                          (block.lives_on() || last_query_block - block.block() < window);
    const int first_key = block.block() * kBlock + quarter * 16 + lane % 4 * 2;
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      float& score = scores[i / 4][i % 4];
      score *= scale_log2;
      const int key = first_key + i / 4 * 8 + i % 2, query = position[i % 4 / 2];
      const bool seen =
          key <= query && (block.lives_on() || query / kBlock - block.block() < window);
      if (!all_seen && !seen) score = -INFINITY;
    }
  }

  /// Turns scores into weights; the output and the sums so far follow a new maximum.
  __device__ __forceinline__ void soften(const float (&scores)[2][4], uint32_t (&weights)[4]) {
    bool higher = false;
    float new_top[2];
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int i = 2 * half;
      const float highest =
          fmaxf(fmaxf(scores[0][i], scores[0][i + 1]), fmaxf(scores[1][i], scores[1][i + 1]));
      new_top[half] = fmaxf(top[half], quad_max(highest));
      higher = higher || new_top[half] > top[half];
    }
    if (__any_sync(kAllLanes, higher)) {  // rare after the first blocks
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const float factor = exp2_approx(top[half] - finite(new_top[half]));
        top[half] = new_top[half];
        sum[half] *= factor;
        rescale(half, factor);
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const float base = finite(top[half]);
#pragma unroll
      for (int keys = 0; keys < 2; ++keys) {
        const float low = exp2_approx(scores[keys][2 * half] - base);
        const float high = exp2_approx(scores[keys][2 * half + 1] - base);
        sum[half] += low + high;
        weights[2 * keys + half] = pack_bf16(low, high);
      }
    }
  }

  __device__ __forceinline__ void multiply_values(const uint32_t (&weights)[4], uint32_t values) {
    const int key = quarter * 16 + lane / 8 % 2 * 8 + lane % 8, high = lane / 16;
#pragma unroll
    for (int i = 0; i < kHeadSize / 16; ++i) {
      uint32_t v[4];  // keys 0 to 7 and 8 to 15 of 8 columns, then of the next 8
      load_matrices_transposed(v, chunk_address<kBlock>(values, key, high, i));
      multiply_add(out[2 * i], weights, v[0], v[1]);
      multiply_add(out[2 * i + 1], weights, v[2], v[3]);
    }
  }

  /// Rescales the output and the sums of a row to another maximum.
  __device__ __forceinline__ void rescale(int half, float factor) {
#pragma unroll
    for (int c = 0; c < kColumnGroups; ++c) {
      out[c][2 * half] *= factor;
      out[c][2 * half + 1] *= factor;
    }
  }
};

}  // namespace longgen::cuda
