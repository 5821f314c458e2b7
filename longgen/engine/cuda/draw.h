// engine/cuda/draw.h: launches. They check nothing, do not wait, and leave errors of the launch to
// cudaGetLastError().
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "longgen/engine/draw_rows.h"

namespace longgen::cuda {

/// Draws a token for each of the rows, a block each.
void draw_tokens(const DrawJob& job, int64_t num_rows, cudaStream_t stream);

/// Puts in place of every token below 0 the one that was drawn for slot -1 - token.
void put_drawn_tokens(int64_t* tokens_T, int64_t count, const int64_t* drawn_S,
                      cudaStream_t stream);

}  // namespace longgen::cuda
