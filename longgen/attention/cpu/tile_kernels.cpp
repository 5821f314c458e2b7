// Compiled once for each instruction set, with LONGGEN_ISA naming it and the matching compiler
// flags. No standard library templates in here: the linker could otherwise keep their AVX-512 copy
// for a machine that lacks it.
#include "longgen/attention/cpu/tile_kernels.h"

#include <cstring>

#include "longgen/base/bf16_words.h"

namespace longgen::cpu::LONGGEN_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
constexpr int kColumns =
    4;  // vectors per micro-tile: 6 x 4 accumulators, 4 of b, 1 broadcast, of 32 registers
#elif defined(__AVX2__)
constexpr int kLanes = 8;
constexpr int kColumns = 2;  // 6 x 2 accumulators, 2 of b, 1 broadcast, of 16 registers
#else
constexpr int kLanes = 4;
constexpr int kColumns = 2;
#endif
constexpr int kRows = 6;

typedef float Floats __attribute__((vector_size(kLanes * 4)));
typedef int32_t Ints __attribute__((vector_size(kLanes * 4)));
typedef uint32_t Words __attribute__((vector_size(kLanes * 4)));
typedef uint16_t Halves __attribute__((vector_size(kLanes * 2)));

inline Floats load(const float* from) {
  Floats v;
  std::memcpy(&v, from, sizeof v);
  return v;
}

inline Floats load(const uint16_t* from) {  // bf16 is the upper half of an fp32
  Halves halves;
  std::memcpy(&halves, from, sizeof halves);
  const auto words = fp32_bits<Words>(halves);
  Floats v;
  std::memcpy(&v, &words, sizeof v);
  return v;
}

inline float load_one(const float* from) { return *from; }
inline float load_one(const uint16_t* from) {
  const uint32_t word = static_cast<uint32_t>(*from) << 16;
  float v;
  std::memcpy(&v, &word, sizeof v);
  return v;
}

inline void store(float* to, Floats v) { std::memcpy(to, &v, sizeof v); }
inline Floats all(float value) { return value - Floats{}; }
inline Floats larger(Floats a, Floats b) { return a > b ? a : b; }

inline float largest(Floats v) {
  float best = v[0];
  for (int i = 1; i < kLanes; ++i) best = v[i] > best ? v[i] : best;
  return best;
}

inline float sum_of(Floats v) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) v[i] += v[i + half];
  }
  return v[0];
}

/// 2^x with a relative error below 2e-7; exactly 0 below -126, exactly 1 at 0. x must not be NaN
/// or above 127.
inline Floats exp2(Floats x) {
  const Floats clamped = larger(x, all(-126.0f));
  const Floats shifter = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to the nearest integer
  const Floats shifted = clamped + shifter;
  const Floats f = clamped - (shifted - shifter);  // in [-0.5, 0.5]
  // Taylor series of 2^f; the first term left out is below 1.3e-8.
  Floats p = all(1.5252734e-5f);
  p = p * f + 1.5403530e-4f;
  p = p * f + 1.3333558e-3f;
  p = p * f + 9.6181291e-3f;
  p = p * f + 5.5504109e-2f;
  p = p * f + 2.4022651e-1f;
  p = p * f + 6.9314718e-1f;
  p = p * f + 1.0f;
  Ints bits, exponent;
  std::memcpy(&bits, &p, sizeof bits);
  std::memcpy(&exponent, &shifted, sizeof exponent);
  bits += exponent << 23;  // the low bits of `shifted` are the integer
  Floats result;
  std::memcpy(&result, &bits, sizeof result);
  return x < all(-126.0f) ? Floats{} : result;
}

template <int kM, int kN, typename B>
void micro_tile(int64_t k, Strided a, const B* b, int64_t b_row, Rows c, bool accumulate) {
  Floats sums[kM][kN];
  for (int i = 0; i < kM; ++i) {
    for (int j = 0; j < kN; ++j)
      sums[i][j] = accumulate ? load(c.data + i * c.row + j * kLanes) : Floats{};
  }
  for (int64_t p = 0; p < k; ++p) {
    Floats row[kN];
    for (int j = 0; j < kN; ++j) row[j] = load(b + p * b_row + j * kLanes);
    for (int i = 0; i < kM; ++i) {
      const float factor = a.data[i * a.row + p * a.column];
      for (int j = 0; j < kN; ++j) sums[i][j] += factor * row[j];
    }
  }
  for (int i = 0; i < kM; ++i) {
    for (int j = 0; j < kN; ++j) store(c.data + i * c.row + j * kLanes, sums[i][j]);
  }
}

template <int kN, typename B>
void column_panel(int64_t m, int64_t k, Strided a, const B* b, int64_t b_row, Rows c,
                  bool accumulate) {
  int64_t i = 0;
  const auto rows_from = [&](int64_t first) {
    return Strided{a.data + first * a.row, a.row, a.column};
  };
  for (; i + kRows <= m; i += kRows) {
    micro_tile<kRows, kN>(k, rows_from(i), b, b_row, {c.data + i * c.row, c.row}, accumulate);
  }
  const Strided rest = rows_from(i);
  const Rows to = {c.data + i * c.row, c.row};
  switch (m - i) {
    case 5:
      micro_tile<5, kN>(k, rest, b, b_row, to, accumulate);
      break;
    case 4:
      micro_tile<4, kN>(k, rest, b, b_row, to, accumulate);
      break;
    case 3:
      micro_tile<3, kN>(k, rest, b, b_row, to, accumulate);
      break;
    case 2:
      micro_tile<2, kN>(k, rest, b, b_row, to, accumulate);
      break;
    case 1:
      micro_tile<1, kN>(k, rest, b, b_row, to, accumulate);
      break;
    default:
      break;
  }
}

template <typename B>
void multiply_as(int64_t m, int64_t n, int64_t k, Strided a, const B* b, int64_t b_row, Rows c,
                 bool accumulate) {
  int64_t j = 0;
  for (; j + kColumns * kLanes <= n; j += kColumns * kLanes) {
    column_panel<kColumns>(m, k, a, b + j, b_row, {c.data + j, c.row}, accumulate);
  }
  for (; j < n; j += kLanes)
    column_panel<1>(m, k, a, b + j, b_row, {c.data + j, c.row}, accumulate);
}

void multiply(int64_t m, int64_t n, int64_t k, Strided a, RowsIn b, Rows c, bool accumulate) {
  if (b.is_bf16) {
    multiply_as(m, n, k, a, static_cast<const uint16_t*>(b.data), b.row, c, accumulate);
  } else {
    multiply_as(m, n, k, a, static_cast<const float*>(b.data), b.row, c, accumulate);
  }
}

template <typename S>
void transpose_as(int64_t rows, int64_t cols, const S* source, int64_t source_row, Rows target,
                  int64_t rows_padded) {
  constexpr int64_t kTile = 16;  // both sides of a 16 x 16 tile stay in the first-level cache
  for (int64_t c0 = 0; c0 < cols; c0 += kTile) {
    const int64_t c1 = c0 + kTile < cols ? c0 + kTile : cols;
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = c0; c < c1; ++c)
        target.data[c * target.row + r] = load_one(source + r * source_row + c);
    }
    for (int64_t c = c0; c < c1; ++c) {
      for (int64_t r = rows; r < rows_padded; ++r) target.data[c * target.row + r] = 0.0f;
    }
  }
}

void transpose(int64_t rows, int64_t cols, RowsIn source, Rows target, int64_t rows_padded) {
  if (source.is_bf16) {
    transpose_as(rows, cols, static_cast<const uint16_t*>(source.data), source.row, target,
                 rows_padded);
  } else {
    transpose_as(rows, cols, static_cast<const float*>(source.data), source.row, target,
                 rows_padded);
  }
}

template <typename S>
void load_as(int64_t rows, int64_t cols, float factor, const S* source, int64_t source_row,
             Rows target, int64_t cols_padded) {
  for (int64_t r = 0; r < rows; ++r) {
    const S* from = source + r * source_row;
    float* to = target.data + r * target.row;
    int64_t c = 0;
    for (; c + kLanes <= cols; c += kLanes) store(to + c, factor * load(from + c));
    for (; c < cols; ++c) to[c] = factor * load_one(from + c);
    for (; c < cols_padded; ++c) to[c] = 0.0f;
  }
}

void load_rows(int64_t rows, int64_t cols, float factor, RowsIn source, Rows target,
               int64_t cols_padded) {
  if (source.is_bf16) {
    load_as(rows, cols, factor, static_cast<const uint16_t*>(source.data), source.row, target,
            cols_padded);
  } else {
    load_as(rows, cols, factor, static_cast<const float*>(source.data), source.row, target,
            cols_padded);
  }
}

void softmax(int64_t rows, int64_t keys, Rows scores, RowState* states, Rows out, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    float* row = scores.data + r * scores.row;
    RowState& state = states[r];
    Floats best = all(state.max);
    for (int64_t c = 0; c < keys; c += kLanes) best = larger(best, load(row + c));
    const float new_max = largest(best);
    if (new_max == -__builtin_inff()) {  // nothing visible yet
      for (int64_t c = 0; c < keys; c += kLanes) store(row + c, Floats{});
      continue;
    }
    if (new_max > state.max) {
      const float shrink =
          state.max == -__builtin_inff() ? 0.0f : exp2(all(state.max - new_max))[0];
      state = {new_max, state.sum * shrink};
      for (int64_t c = 0; c < n; c += kLanes)
        store(out.data + r * out.row + c, shrink * load(out.data + r * out.row + c));
    }
    Floats sums = {};
    for (int64_t c = 0; c < keys; c += kLanes) {
      const Floats p = exp2(load(row + c) - new_max);
      store(row + c, p);
      sums += p;
    }
    state.sum += sum_of(sums);
  }
}

void softmax_grad(int64_t rows, int64_t keys, Rows scores, Rows dp, const float* lse2,
                  const float* delta, float scale) {
  for (int64_t r = 0; r < rows; ++r) {
    float* s = scores.data + r * scores.row;
    float* d = dp.data + r * dp.row;
    for (int64_t c = 0; c < keys; c += kLanes) {
      const Floats p = exp2(load(s + c) - lse2[r]);
      store(s + c, p);
      store(d + c, p * (load(d + c) - delta[r]) * scale);
    }
  }
}

}  // namespace

extern const TileKernels kKernels;
const TileKernels kKernels = {LONGGEN_ISA_NAME, multiply, transpose,
                              load_rows,        softmax,  softmax_grad};

}  // namespace longgen::cpu::LONGGEN_ISA
