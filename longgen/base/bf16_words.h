// base/bf16_words.h: bfloat16 to float32 by vectors of the width that the compiler flags allow, for
// kernels that are compiled once for each instruction set. It is in an unnamed namespace: the
// linker must never merge the copies.
#pragma once

#include <cstdint>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace longgen::cpu {
namespace {

/// The bits of fp32 of as many bf16 numbers, whose bits are the upper halves. GCC 12 divides
/// __builtin_convertvector() of these into five instructions, where processors have one.
template <typename Words, typename Halves>
inline Words fp32_bits(Halves halves) {
#if defined(__AVX512F__)
  // The form with a mask, as GCC 12 warns of what the one without leaves uninitialized.
  return (Words)_mm512_maskz_cvtepu16_epi32(0xffff, (__m256i)halves) << 16;
#elif defined(__AVX2__)
  return (Words)_mm256_cvtepu16_epi32((__m128i)halves) << 16;
#else
  return __builtin_convertvector(halves, Words) << 16;
#endif
}

}  // namespace
}  // namespace longgen::cpu
