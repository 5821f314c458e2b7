// kv_cache/cuda/mma.cuh: products of 16 rows by a warp (PTX mma.m16n8k16, bf16, sums in fp32).
//
// Lane l holds, with g = l / 4 and t = l % 4:
//   a (16, 16)   a[0] row g, columns 2t, 2t + 1;  a[1] row g + 8;
//                a[2], a[3] the same, 8 columns on
//   b (16, 8)    b[0] rows 2t, 2t + 1 of column g;  b[1] 8 rows on
//   d (16, 8)    d[0], d[1] row g, columns 2t, 2t + 1;  d[2], d[3] row g + 8
// so that two results d side by side, rounded to bf16, are an operand a.
#pragma once

#include <cstdint>

namespace longgen::cuda {

/// Loads four 8 x 8 matrices of 16-bit values. Lane l gives the shared address of row l % 8 of
/// matrix l / 8, and gets of matrix i: row g, columns 2t, 2t + 1.
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

/// Loads them transposed: rows 2t, 2t + 1 of column g.
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], uint32_t address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address)
               : "memory");
}

/// d += a b.
__device__ __forceinline__ void multiply_add(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                             uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, "
      "{%8, %9}, {%0, %1, %2, %3};"
      : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

}  // namespace longgen::cuda
