// ops/strided_rows.h: rows as the kernels take them, on the CPU and on a GPU. No torch.
#pragma once

#include <cstdint>

namespace longgen {

/// Rows of contiguous elements, fp32 or (as raw 16 bits) bf16. Row r starts at element
/// (r / num_inner) * outer + (r % num_inner) * inner: enough for a slice of heads of (T, heads, D).
struct StridedRows {
  const void* data = nullptr;
  int64_t num_inner = 1;
  int64_t outer = 0;
  int64_t inner = 0;
};

}  // namespace longgen
