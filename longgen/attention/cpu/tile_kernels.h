// attention/cpu/tile_kernels.h: the inner loops of CPU attention, on tiles that fit into the
// cache. tile_kernels.cpp is compiled once for each instruction set; tile_kernels() picks by what
// the processor has.
#pragma once

#include <cstdint>
#include <vector>

namespace longgen::cpu {

/// Rows of every tile are padded to a multiple of this many floats.
constexpr int64_t kPad = 16;
constexpr int64_t padded(int64_t size) { return (size + kPad - 1) / kPad * kPad; }

/// Read-only matrix; element (r, c) is data[r * row + c * column].
struct Strided {
  const float* data;
  int64_t row;
  int64_t column;
};

/// A matrix with contiguous rows, fp32 or (as raw 16 bits) bf16.
struct RowsIn {
  const void* data;
  int64_t row;
  bool is_bf16;
};

struct Rows {
  float* data;
  int64_t row;
};

/// One row of an online softmax: the largest score so far (log2 units) and the sum of
/// 2^(score - max).
struct RowState {
  float max;
  float sum;
};

struct TileKernels {
  const char* instruction_set;
  /// c (m, n) = a (m, k) b (k, n), or += with accumulate. n must be a multiple of kPad.
  void (*multiply)(int64_t m, int64_t n, int64_t k, Strided a, RowsIn b, Rows c, bool accumulate);
  /// target (cols, rows_padded) fp32 = source (rows, cols) transposed; columns from `rows` to
  /// rows_padded are zero.
  void (*transpose)(int64_t rows, int64_t cols, RowsIn source, Rows target, int64_t rows_padded);
  /// target (rows, cols_padded) fp32 = factor * source (rows, cols); padding is zero.
  void (*load)(int64_t rows, int64_t cols, float factor, RowsIn source, Rows target,
               int64_t cols_padded);
  /// Online softmax of `rows` rows over `keys` new scores in log2 units (keys a multiple of kPad;
  /// masked ones -inf): turns scores into 2^(score - max), updates the states, and rescales out
  /// (rows, n) where the maximum grew.
  void (*softmax)(int64_t rows, int64_t keys, Rows scores, RowState* states, Rows out, int64_t n);
  /// Backward: scores (log2 units) become probabilities p = 2^(score - lse2), and dp becomes p *
  /// (dp - delta) * scale.
  void (*softmax_grad)(int64_t rows, int64_t keys, Rows scores, Rows dp, const float* lse2,
                       const float* delta, float scale);
};

/// The fastest kernels that this processor runs.
const TileKernels& tile_kernels();
/// All kernels that this processor runs, the fastest first.
const std::vector<const TileKernels*>& supported_tile_kernels();

}  // namespace longgen::cpu
