// attention/cuda/tensor_map.h: tensor maps, with which the copy engine fetches boxes of rows.
#pragma once

#include <cuda.h>
#include <cuda_runtime_api.h>

#include "longgen/attention/cuda/problem.h"

namespace longgen::cuda {

/// Makes the map of boxes of `box_rows` rows of one head, 64 columns wide, written with the
/// 128-byte swizzle (see wgmma.cuh). Coordinates are column, head, row.
cudaError_t make_tensor_map(const HeadRows& rows, int64_t num_rows, int num_heads, int head_size,
                            int box_rows, CUtensorMap& map);

/// The tensor maps of q, k and v, in boxes of one block.
struct QkvMaps {
  CUtensorMap q, k, v;
};
cudaError_t make_tensor_maps(const AttendProblem& problem, QkvMaps& maps);

}  // namespace longgen::cuda
