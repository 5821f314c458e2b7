// ops/cpu/products.h: products of a few rows with a weight matrix, for row_kernels.cpp. Everything
// is in an unnamed namespace, as in vectors.h.
//
// Each sum has its products in one order, whatever the number of rows, the tile that computes it
// and the range of outputs: lane by lane over a block of the width, then over the lanes, then over
// the blocks. So a row's results do not depend on its neighbours.
#pragma once

#include "longgen/ops/cpu/row_kernels.h"
#include "longgen/ops/cpu/vectors.h"

namespace longgen::cpu {
namespace {

// A step reads so many numbers of each row. A vector of 32-bit words holds as many bf16, whose even
// and odd ones become a vector of fp32 each by one instruction; x is in that order, too.
constexpr int64_t kStep = 2 * kLanes;
static_assert(kLinearPadding % kStep == 0);
// Sums of 8 x 3 or 4 x 6 vectors, and what is multiplied, fit into 32 registers, 4 x 3 into 16.
constexpr int kTileRows = kLanes == 16 ? 8 : 4;
template <int kRows>
constexpr int kTileOutputs = kLanes == 16 && kRows <= 4 ? 6 : 3;
// Rows of weights that are widened together for the tiles of many rows.
constexpr int64_t kPanelOutputs = 24;
// With more tiles of rows it pays to widen the weights once for all of them.
constexpr int64_t kDirectTiles = 2;
// The largest part of the width that is summed at once: with it a tile of x fits into the first
// level cache.
constexpr int64_t kMostWidth = 1024;
// Short rows of weights are no streams that the processor foresees. With rows of 576 numbers one
// core of an Emerald Rapids read 13.8 instead of 8.5 GB/s of fp32 and 12.9 instead of 5.0 GB/s of
// bf16 for 8 rows of x, 19.9 instead of 9.9 GB/s of bf16 for one (2026-11).
constexpr int64_t kAhead = 8192;

/// The even (0) or odd (1) numbers of a step, or its first and second half where they are fp32.
inline Floats half_step(const float* from, int half) { return load(from + half * kLanes, Whole{}); }
inline Floats half_step(const Bf16* from, int half) {
  Words words;
  std::memcpy(&words, from, sizeof words);
  return bits_of<Floats>(half == 0 ? words << 16 : words & 0xffff0000U);
}

/// Writes n numbers as fp32 in the order of half_step(), with zeros up to a whole step.
template <typename T>
inline void write_steps(const T* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; i += kStep) {
    T last[kStep] = {};
    const T* step = from + i;
    if (n - i < kStep) {
      std::memcpy(last, step, static_cast<size_t>(n - i) * sizeof(T));
      step = last;
    }
    store(to + i, half_step(step, 0), Whole{});
    store(to + i + kLanes, half_step(step, 1), Whole{});
  }
}

/// Keeps a value in its register, where the compiler would read it from memory for every use.
inline void keep(Floats& v) {
#if defined(__x86_64__)
  __asm__("" : "+v"(v));
#else
  (void)v;
#endif
}

/// Lane i of the result is a[i] + a[i ^ distance], or that of b where i has the bit of distance.
template <int kDistance>
inline Floats folded(Floats a, Floats b) {
  Ints own, other;
  for (int i = 0; i < kLanes; ++i) {
    const int from = (i & kDistance) != 0 ? kLanes : 0;
    own[i] = from + i;
    other[i] = from + (i ^ kDistance);
  }
  return __builtin_shuffle(a, b, own) + __builtin_shuffle(a, b, other);
}

/// Leaves the sum over the lanes of v[i] in lane i of v[0]; v has kCount * kDistance = kLanes.
template <int kCount = kLanes, int kDistance = 1>
inline void sum_lanes(Floats* v) {
  if constexpr (kCount > 1) {
    for (int i = 0; i < kCount / 2; ++i) v[i] = folded<kDistance>(v[2 * i], v[2 * i + 1]);
    sum_lanes<kCount / 2, 2 * kDistance>(v);
  }
}

/// A part of a product: rows of x and of weights that begin at the same place of the width, and
/// sums (rows, outputs), which get or, behind the first block, are added the part's.
template <typename Weight, int64_t kBytes>
struct Block {
  using W = Weight;
  /// How far behind what is read memory is asked for, in bytes; 0 for what is in the caches.
  static constexpr int64_t kPrefetchBytes = kBytes;

  const float* x;
  int64_t x_stride;
  const W* weight;
  int64_t weight_stride;
  int64_t width;  ///< in whole steps
  float* sums;
  int64_t sums_stride;
  bool adds;

  Block at(int64_t row, int64_t output) const {
    Block block = *this;
    block.x += row * x_stride;
    block.weight += output * weight_stride;
    block.sums += row * sums_stride + output;
    return block;
  }
};

template <int kRows, int kOutputs, typename Block>
inline void add_tile(const Block& block) {
  using W = typename Block::W;
  constexpr int kAll = kRows * kOutputs, kVectors = (kAll + kLanes - 1) / kLanes;
  Floats products[kVectors * kLanes] = {};
  for (int64_t i = 0; i < block.width; i += kStep) {
    for (int half = 0; half < 2; ++half) {
      Floats weight[kOutputs];
      for (int o = 0; o < kOutputs; ++o) {
        const W* step = block.weight + o * block.weight_stride + i;
        weight[o] = half_step(step, half);
        if (Block::kPrefetchBytes != 0 && (half == 0 || sizeof(W) == 4)) {
          const auto* bytes = reinterpret_cast<const char*>(step + half * kLanes);
          __builtin_prefetch(bytes + Block::kPrefetchBytes);
        }
      }
      for (int r = 0; r < kRows; ++r) {
        Floats x = half_step(block.x + r * block.x_stride + i, half);
        keep(x);
        for (int o = 0; o < kOutputs; ++o) products[r * kOutputs + o] += x * weight[o];
      }
    }
  }
  float sums[kVectors * kLanes];
  for (int v = 0; v < kVectors; ++v) {
    sum_lanes(products + v * kLanes);
    store(sums + v * kLanes, products[v * kLanes], Whole{});
  }
  for (int r = 0; r < kRows; ++r) {
    float* to = block.sums + r * block.sums_stride;
    for (int o = 0; o < kOutputs; ++o) {
      const float sum = sums[r * kOutputs + o];
      to[o] = block.adds ? to[o] + sum : sum;
    }
  }
}

/// All outputs of kRows rows; those that are too few for a tile one by one.
template <int kRows, typename Block>
inline void add_tiles(const Block& block, int64_t num_outputs) {
  constexpr int kOutputs = kTileOutputs<kRows>;
  int64_t o = 0;
  for (; o + kOutputs <= num_outputs; o += kOutputs) {
    add_tile<kRows, kOutputs>(block.at(0, o));
  }
  for (; o < num_outputs; ++o) {
    for (int64_t r = 0; r < kRows; ++r) add_tile<1, 1>(block.at(r, o));
  }
}

template <typename Block>
void add_rows(const Block& block, int64_t num_rows, int64_t num_outputs) {
  int64_t r = 0;
  for (; r + kTileRows <= num_rows; r += kTileRows) {
    add_tiles<kTileRows>(block.at(r, 0), num_outputs);
  }
  for (; r + 4 <= num_rows; r += 4) add_tiles<4>(block.at(r, 0), num_outputs);
  for (; r + 2 <= num_rows; r += 2) add_tiles<2>(block.at(r, 0), num_outputs);
  if (r < num_rows) add_tiles<1>(block.at(r, 0), num_outputs);
}

/// The product with the weights of some outputs, which are read once.
template <typename T>
class Panels {
 public:
  Panels(const Linear& job, int64_t begin, int64_t end) : job_(job), begin_(begin), end_(end) {}

  void multiply() {
    const bool widens = job_.num_rows > kDirectTiles * kTileRows || job_.width % kStep != 0;
    const int64_t panel = widens ? kPanelOutputs : kTileOutputs<1>;
    for (int64_t o = begin_; o < end_; o += panel) {
      const int64_t count = end_ - o < panel ? end_ - o : panel;
      for (int64_t i = 0; i < job_.width; i += block_width_) {
        const int64_t width = job_.width - i < block_width_ ? job_.width - i : block_width_;
        widens ? add_widened(o, count, i, width) : add_direct(o, count, i, width);
      }
      write(o, count);
    }
  }

 private:
  const T* weight(int64_t output, int64_t first) const {
    return static_cast<const T*>(job_.weight) + output * job_.width + first;
  }

  void add_direct(int64_t output, int64_t count, int64_t first, int64_t width) {
    const Block<T, kAhead> block = {job_.x + first, x_stride_, weight(output, first), job_.width,
                                    width,          sums_,     kPanelOutputs,         first > 0};
    add_rows(block, job_.num_rows, count);
  }

  void add_widened(int64_t output, int64_t count, int64_t first, int64_t width) {
    const int64_t padded = (width + kStep - 1) / kStep * kStep;
    for (int64_t o = 0; o < count; ++o) {
      write_steps(weight(output + o, first), width, widened_ + o * padded);
    }
    const Block<float, 0> block = {job_.x + first, x_stride_, widened_,      padded,
                                   padded,         sums_,     kPanelOutputs, first > 0};
    add_rows(block, job_.num_rows, count);
  }

  void write(int64_t output, int64_t count) {
    const auto* bias = static_cast<const T*>(job_.bias);
    for (int64_t r = 0; r < job_.num_rows; ++r) {
      T* out = static_cast<T*>(job_.out) + r * job_.num_outputs + output;
      const float* sums = sums_ + r * kPanelOutputs;
      for_vectors(count, [&](int64_t o, auto part) {
        Floats sum = load(sums + o, part);
        if (bias != nullptr) sum += load(bias + output + o, part);
        store(out + o, sum, part);
      });
    }
  }

  const Linear& job_;
  const int64_t begin_, end_;
  const int64_t num_blocks_ = (job_.width + kMostWidth - 1) / kMostWidth;
  /// Of all blocks but the last. Blocks are equal but for whole steps, and depend on nothing else.
  const int64_t block_width_ =
      ((job_.width + num_blocks_ - 1) / num_blocks_ + kStep - 1) / kStep * kStep;
  const int64_t x_stride_ = padded_linear_width(job_.width);
  float sums_[kMostLinearRows * kPanelOutputs];
  float widened_[kPanelOutputs * kMostWidth];
};

template <typename T>
void linear_as(const Linear& job, int64_t begin, int64_t end) {
  Panels<T>(job, begin, end).multiply();
}

template <typename T>
void linear_rows_as(const LinearRows& job, int64_t begin, int64_t end) {
  for (int64_t r = begin; r < end; ++r) {
    write_steps(static_cast<const T*>(job.x) + r * job.x_stride, job.width,
                job.out + r * padded_linear_width(job.width));
  }
}

}  // namespace
}  // namespace longgen::cpu
