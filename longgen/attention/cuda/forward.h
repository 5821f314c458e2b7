// attention/cuda/forward.h: launches the forward pass.
#pragma once

#include <cuda_runtime_api.h>

#include "longgen/attention/cuda/problem.h"

namespace longgen::cuda {

/// out (num_rows, H, D) bf16 contiguous, 16-byte aligned; lse (H, num_rows) fp32. head_size 64 or
/// 128. Rows of q, k and v start at multiples of 16 bytes. Returns the first error of CUDA.
cudaError_t attend_forward(const AttendProblem& problem, void* out, float* lse,
                           cudaStream_t stream);

}  // namespace longgen::cuda
