// ops/cuda/vectors.cuh: rows of bf16 or fp32 numbers, read and written in steps of 16 bytes,
// computed with in fp32.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>
#include <initializer_list>

namespace longgen::cuda {

using Bf16 = __nv_bfloat16;

/// Threads of a block, unless a kernel says otherwise.
constexpr int kThreads = 256;

/// kCount neighbours in a row.
template <int kCount>
struct Floats {
  float at[kCount];
};

template <int kCount>
__device__ __forceinline__ Floats<kCount> load(const float* from) {
  Floats<kCount> v;
  if constexpr (kCount == 1) {
    v.at[0] = *from;
  } else {
    static_assert(kCount % 4 == 0);
#pragma unroll
    for (int i = 0; i < kCount; i += 4) {
      const float4 part = *reinterpret_cast<const float4*>(from + i);
      v.at[i] = part.x, v.at[i + 1] = part.y, v.at[i + 2] = part.z, v.at[i + 3] = part.w;
    }
  }
  return v;
}

template <int kCount>
__device__ __forceinline__ Floats<kCount> load(const Bf16* from) {
  Floats<kCount> v;
  if constexpr (kCount == 1) {
    v.at[0] = __bfloat162float(*from);
  } else {
    static_assert(kCount == 8);
    const uint4 bits = *reinterpret_cast<const uint4*>(from);
    const uint32_t words[4] = {bits.x, bits.y, bits.z, bits.w};
#pragma unroll
    for (int i = 0; i < 4; ++i) {  // a bf16 is the upper half of an fp32
      v.at[2 * i] = __uint_as_float(words[i] << 16);
      v.at[2 * i + 1] = __uint_as_float(words[i] & 0xffff0000U);
    }
  }
  return v;
}

template <int kCount>
__device__ __forceinline__ void store(float* to, const Floats<kCount>& v) {
  if constexpr (kCount == 1) {
    *to = v.at[0];
  } else {
#pragma unroll
    for (int i = 0; i < kCount; i += 4) {
      *reinterpret_cast<float4*>(to + i) =
          make_float4(v.at[i], v.at[i + 1], v.at[i + 2], v.at[i + 3]);
    }
  }
}

template <int kCount>
__device__ __forceinline__ void store(Bf16* to, const Floats<kCount>& v) {
  if constexpr (kCount == 1) {
    *to = __float2bfloat16_rn(v.at[0]);
  } else {
    static_assert(kCount == 8);
    uint32_t words[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const __nv_bfloat162 pair = __floats2bfloat162_rn(v.at[2 * i], v.at[2 * i + 1]);
      words[i] = *reinterpret_cast<const uint32_t*>(&pair);
    }
    *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
  }
}

/// What is left of a number when it is stored as a T.
template <typename T>
__device__ __forceinline__ float rounded(float x) {
  if constexpr (sizeof(T) == 2) return __bfloat162float(__float2bfloat16_rn(x));
  return x;
}

__device__ __forceinline__ float silu(float x) { return x / (1.0F + expf(-x)); }

/// a / b of numbers that are not negative; most of them have 32 bits, for which it is five
/// times as fast.
__device__ __forceinline__ int64_t quotient(int64_t a, int64_t b) {
  if (((a | b) >> 32) == 0) return static_cast<uint32_t>(a) / static_cast<uint32_t>(b);
  return a / b;
}

/// What a kernel is compiled for: the type of the numbers and how many a thread takes at once.
template <typename T, int kCountOfStep>
struct Step {
  using Type = T;
  static constexpr int kCount = kCountOfStep;
};

/// Calls launch(Step) for the type, with 16-byte steps where `wide`.
template <typename Launch>
void with_step(bool is_bf16, bool wide, const Launch& launch) {
  if (is_bf16) {
    wide ? launch(Step<Bf16, 8>()) : launch(Step<Bf16, 1>());
  } else {
    wide ? launch(Step<float, 4>()) : launch(Step<float, 1>());
  }
}

/// Whether 16-byte steps fit: all addresses and all lengths and strides (in
/// elements) are multiples.
inline bool fits_wide(bool is_bf16, std::initializer_list<const void*> addresses,
                      std::initializer_list<int64_t> lengths) {
  for (const void* address : addresses) {
    if (reinterpret_cast<uintptr_t>(address) % 16 != 0) return false;  // null fits
  }
  for (const int64_t length : lengths) {
    if (length % (is_bf16 ? 8 : 4) != 0) return false;
  }
  return true;
}

inline unsigned num_blocks(int64_t items, int64_t per_block) {
  return static_cast<unsigned>((items + per_block - 1) / per_block);
}

/// The sum over the kGroup threads that work on one row, for each of them, in a fixed order. All
/// threads of the block call it together; a group is a power of two of at most 32, or the block.
template <int kGroup>
__device__ __forceinline__ float group_sum(float value) {
  static_assert(kGroup <= 32 || kGroup == kThreads);
#pragma unroll
  for (int step = (kGroup < 32 ? kGroup : 32) / 2; step > 0; step /= 2) {
    value += __shfl_xor_sync(0xffffffffU, value, step);
  }
  if constexpr (kGroup > 32) {
    __shared__ float warps[kGroup / 32];
    if (threadIdx.x % 32 == 0) warps[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0;
#pragma unroll
    for (const float sum : warps) value += sum;
    __syncthreads();  // the next call writes again
  }
  return value;
}

}  // namespace longgen::cuda
