// ops/cpu/vectors.h: fp32 vectors of the width that the compiler flags allow, for row_kernels.cpp.
// Everything is in an unnamed namespace: the linker must never merge the copies that are compiled
// for different instruction sets.
#pragma once

#include <cstdint>
#include <cstring>

#include "longgen/base/bf16_words.h"

namespace longgen::cpu {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

typedef float Floats __attribute__((vector_size(kLanes * 4)));
typedef int32_t Ints __attribute__((vector_size(kLanes * 4)));
typedef uint32_t Words __attribute__((vector_size(kLanes * 4)));
typedef uint16_t Halves __attribute__((vector_size(kLanes * 2)));
typedef uint16_t Bf16;  // raw bits: the upper half of an fp32

template <typename To, typename From>
inline To bits_of(const From& from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  std::memcpy(&to, &from, sizeof to);
  return to;
}

inline Floats all(float value) { return value - Floats{}; }
inline Floats larger(Floats a, Floats b) { return a > b ? a : b; }

/// A product that is rounded for itself, not fused with what is added to it.
inline Floats rounded(Floats v) {
#if __has_builtin(__builtin_assoc_barrier)
  return __builtin_assoc_barrier(v);
#else
  return v;
#endif
}

inline Floats widened(Floats v) { return v; }
inline Floats widened(Halves v) { return bits_of<Floats>(fp32_bits<Words>(v)); }

inline void narrow(Floats v, Floats& to) { to = v; }
/// Rounds to the nearest bf16, ties to even. NaN stays NaN.
inline void narrow(Floats v, Halves& to) {
  const Words words = bits_of<Words>(v);
  const Words rounded = (words + 0x7fff + ((words >> 16) & 1)) >> 16;
  const Words nan = (words >> 16) | 0x40;
  to = __builtin_convertvector(v == v ? rounded : nan, Halves);
}

template <typename T>
struct VectorOf;
template <>
struct VectorOf<float> {
  using type = Floats;
};
template <>
struct VectorOf<Bf16> {
  using type = Halves;
};

/// How much of a vector is in a row: all of it, or the first `count` lanes at the end of the row.
struct Whole {};
struct Part {
  int64_t count;
};

template <typename T>
inline Floats load(const T* from, Whole, float = 0) {
  typename VectorOf<T>::type v;
  std::memcpy(&v, from, sizeof v);
  return widened(v);
}

/// The lanes beyond the row are `fill`.
template <typename T>
inline Floats load(const T* from, Part part, float fill = 0) {
  typename VectorOf<T>::type v;
  narrow(all(fill), v);
  std::memcpy(&v, from, part.count * sizeof(T));
  return widened(v);
}

template <typename T>
inline void store(T* to, Floats v, Whole) {
  typename VectorOf<T>::type narrowed;
  narrow(v, narrowed);
  std::memcpy(to, &narrowed, sizeof narrowed);
}

template <typename T>
inline void store(T* to, Floats v, Part part) {
  typename VectorOf<T>::type narrowed;
  narrow(v, narrowed);
  std::memcpy(to, &narrowed, part.count * sizeof(T));
}

/// Calls body(first, Whole or Part) for each vector of a row of n.
template <typename Body>
inline void for_vectors(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, Whole{});
  if (i < n) body(i, Part{n - i});
}

inline float sum_of(Floats v) {
  for (int half = kLanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) v[i] += v[i + half];
  }
  return v[0];
}

inline float largest(Floats v) {
  float best = v[0];
  for (int i = 1; i < kLanes; ++i) best = v[i] > best ? v[i] : best;
  return best;
}

/// Four independent vectors hide the latency of `combine` and keep each chain of roundings short.
template <typename Term, typename Combine>
inline Floats reduce(int64_t n, Floats start, const Term& term, const Combine& combine) {
  Floats parts[4] = {start, start, start, start};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (int j = 0; j < 4; ++j) parts[j] = combine(parts[j], term(i + j * kLanes, Whole{}));
  }
  for (; i + kLanes <= n; i += kLanes) parts[0] = combine(parts[0], term(i, Whole{}));
  if (i < n) parts[1] = combine(parts[1], term(i, Part{n - i}));
  return combine(combine(parts[0], parts[1]), combine(parts[2], parts[3]));
}

/// The sum of term(first, Whole or Part) over the vectors of a row; terms beyond the row must be 0.
template <typename Term>
inline float sum_over(int64_t n, const Term& term) {
  return sum_of(reduce(n, Floats{}, term, [](Floats a, Floats b) { return a + b; }));
}

/// e^x within 1 ulp, denormal results included; infinity above ln(FLT_MAX), 0 below -104,
/// NaN for NaN.
inline Floats exp(Floats x) {
  // Beyond these the result is infinite or 0 anyway. NaN compares false and passes through.
  x = x > all(89.0f) ? all(89.0f) : x;
  x = x < all(-104.0f) ? all(-104.0f) : x;
  // x = n ln 2 + r with |r| <= ln(2) / 2. The first part of ln 2 has 9 bits, so that its product
  // with n is exact.
  const Floats shifter = all(12582912.0f);  // 1.5 * 2^23: adding it rounds to the nearest integer
  const Floats shifted = x * 1.44269504f + shifter;
  const Floats n = shifted - shifter;
  const Floats r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  // Taylor series of e^r; the first term left out is below 6e-9.
  Floats p = all(1.9841270e-4f);
  p = p * r + 1.3888889e-3f;
  p = p * r + 8.3333333e-3f;
  p = p * r + 4.1666667e-2f;
  p = p * r + 1.6666667e-1f;
  p = p * r + 0.5f;
  p = p * r * r + (r + 1.0f);
  // 2^n in two factors: n reaches from -150 to 128, one exponent field only from -126 to 127.
  const Ints whole = bits_of<Ints>(shifted) - bits_of<Ints>(shifter);
  const Ints first = whole >> 1;
  const Floats scale = bits_of<Floats>((first + 127) << 23);
  return p * scale * bits_of<Floats>((whole - first + 127) << 23);
}

}  // namespace
}  // namespace longgen::cpu
