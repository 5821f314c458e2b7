// ops/cuda/rotate.cuh: the rotation of RoPE, the same to the last bit in every kernel.
#pragma once

#include "longgen/ops/cuda/vectors.cuh"

namespace longgen::cuda {

/// Rotates dimensions d of a head and d + D / 2, in place.
template <int kCount>
__device__ __forceinline__ void rotate(Floats<kCount>& first, Floats<kCount>& second,
                                       const Floats<kCount>& cos, const Floats<kCount>& sin,
                                       float direction) {
#pragma unroll
  for (int j = 0; j < kCount; ++j) {
    const float a = first.at[j], b = second.at[j], s = sin.at[j] * direction;
    first.at[j] = __fmaf_rn(a, cos.at[j], -__fmul_rn(b, s));
    second.at[j] = __fmaf_rn(b, cos.at[j], __fmul_rn(a, s));
  }
}

}  // namespace longgen::cuda
