#include "longgen/attention/cuda/tensor_map.h"

#include <algorithm>

namespace longgen::cuda {
namespace {

using EncodeTiled = decltype(&cuTensorMapEncodeTiled);

/// Finds the driver's function at run time, so that nothing links libcuda.
EncodeTiled encode_tiled() {
  static const EncodeTiled function = [] {
    void* entry = nullptr;
    cudaDriverEntryPointQueryResult found = {};
    const cudaError_t error = cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry,
                                                               12000, cudaEnableDefault, &found);
    return error == cudaSuccess && found == cudaDriverEntryPointSuccess
               ? reinterpret_cast<EncodeTiled>(entry)
               : nullptr;
  }();
  return function;
}

}  // namespace

cudaError_t make_tensor_map(const HeadRows& rows, int64_t num_rows, int num_heads, int head_size,
                            int box_rows, CUtensorMap& map) {
  if (encode_tiled() == nullptr) return cudaErrorCallRequiresNewerDriver;
  constexpr cuuint64_t kValueBytes = 2;
  const cuuint64_t sizes[3] = {static_cast<cuuint64_t>(head_size),
                               static_cast<cuuint64_t>(num_heads),
                               static_cast<cuuint64_t>(num_rows)};
  const cuuint64_t strides[2] = {static_cast<cuuint64_t>(rows.head_stride) * kValueBytes,
                                 static_cast<cuuint64_t>(rows.row_stride) * kValueBytes};
  const cuuint32_t box[3] = {64, 1, static_cast<cuuint32_t>(box_rows)};
  const cuuint32_t element_strides[3] = {1, 1, 1};
  const CUresult result =
      encode_tiled()(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 3, rows.data, sizes, strides, box,
                     element_strides, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
                     CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  return result == CUDA_SUCCESS ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t make_tensor_maps(const AttendProblem& p, QkvMaps& maps) {
  for (const cudaError_t error :
       {make_tensor_map(p.q, p.num_rows, p.num_heads, p.head_size, kBlock, maps.q),
        make_tensor_map(p.k, p.num_keys, p.num_kv_heads, p.head_size, kBlock, maps.k),
        make_tensor_map(p.v, p.num_keys, p.num_kv_heads, p.head_size, kBlock, maps.v)}) {
    if (error != cudaSuccess) return error;
  }
  return cudaSuccess;
}

}  // namespace longgen::cuda
