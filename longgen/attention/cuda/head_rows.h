// attention/cuda/head_rows.h: tensors as the kernels take them. For the binding.cpp of a folder.
#pragma once

#include <ATen/core/Tensor.h>

#include "longgen/attention/cuda/problem.h"

namespace longgen::cuda {

/// x (rows, heads, head size), or a copy where its rows are not what HeadRows says: the copy engine
/// and the loads of 16 bytes need it.
inline at::Tensor aligned(const at::Tensor& x) {
  constexpr int64_t kBytes = 16, kValues = 8;
  const bool good = x.stride(2) == 1 && x.stride(0) % kValues == 0 && x.stride(1) % kValues == 0 &&
                    x.stride(0) > 0 && x.stride(1) > 0 &&
                    reinterpret_cast<uintptr_t>(x.const_data_ptr()) % kBytes == 0;
  return good ? x : x.clone(at::MemoryFormat::Contiguous);
}

/// The rows of an aligned() tensor.
inline HeadRows head_rows(const at::Tensor& x) {
  return {const_cast<void*>(x.const_data_ptr()), x.stride(0), x.stride(1)};
}

}  // namespace longgen::cuda
