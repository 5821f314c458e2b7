// attention/cuda/backward.h: launches the gradients of attention, in two kernels whose results are
// the same to the bit in every run: the gradient of q by query tiles, which also makes the rows'
// statistics, and those of k and v by key blocks.
#pragma once

#include <cuda_runtime_api.h>

#include "longgen/attention/cuda/problem.h"

namespace longgen::cuda {

/// What the kernels read for every row of q: the LSE in units of log2, and delta = sum over the
/// head of grad_out * out, as float[H][2 * num_tiles][2][64], block by block (see
/// SequenceRows::first_block). Rows of a tile that are not in the sequence have an LSE of +inf, so
/// that every probability is 0.
constexpr int kStatisticsOfBlock = 2 * kBlock;  // floats

struct BackwardProblem {
  AttendProblem attend;
  HeadRows grad_out, out;
  const float* lse;  // (H, num_rows)
  float* statistics;
  const KeyItem* items;  // on the device, the longest first
  int num_items;
  const KeySum* sums;  // on the device
  int num_sums;
  float* partials;                 // [slot][half][k, v][64][D]
  void *grad_q, *grad_k, *grad_v;  // (T, H, D), (S, K, D) twice; bf16, contiguous
};

cudaError_t attend_backward(const BackwardProblem& problem, cudaStream_t stream);

// attend_backward() calls these two, in this order.
cudaError_t query_gradient(const BackwardProblem& problem, cudaStream_t stream);
cudaError_t key_gradients(const BackwardProblem& problem, cudaStream_t stream);

}  // namespace longgen::cuda
