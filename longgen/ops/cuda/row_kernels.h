// ops/cuda/row_kernels.h: the ops on the GPU. Plain launch functions: they check nothing, do not
// wait, and leave errors of the launch to cudaGetLastError(). The contracts are those of
// cpu/row_kernels.h: outputs have the dtype of the inputs and are contiguous, arithmetic is fp32
// and rounded once, the last axis of every tensor is contiguous. Addresses are on the device of the
// stream. Every result is the same to the bit in every run.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "longgen/ops/strided_rows.h"

namespace longgen::cuda {

/// out = norm(x) * weight, or sum = x + delta and out = norm(sum) * weight, from the rounded sum.
struct RmsNorm {
  bool is_bf16;
  int64_t num_rows;
  int width;
  float eps;
  StridedRows x;
  const void* delta;  ///< (num_rows, width) contiguous; may be null
  const void* weight;
  void* sum;  ///< where there is a delta
  void* out;
  float* inverse_rms;  ///< (num_rows); may be null
};
void rms_norm(const RmsNorm& job, cudaStream_t stream);

struct RmsNormBackward {
  bool is_bf16;
  int64_t num_rows;
  int width;  ///< at most kMaxNormWidth where the weight's gradient is wanted
  StridedRows x, grad;
  const void* weight;
  const float* inverse_rms;
  const void* grad_sum;  ///< (num_rows, width) contiguous, added to grad_x; may be null
  void* grad_x;          ///< may be null
  void* grad_weight;     ///< (width); may be null
  float* pieces;         ///< (num_norm_pieces(num_rows), width), scratch for grad_weight
};
constexpr int kMaxNormWidth = 57344;
/// The sum over the rows is made in pieces, which depend on their number alone.
int64_t num_norm_pieces(int64_t num_rows);
void rms_norm_backward(const RmsNormBackward& job, cudaStream_t stream);

/// Some heads of a tensor (tokens, heads, D), read and written with any strides of
/// tokens and heads.
struct Heads {
  int count;
  bool rotate;  ///< or copied
  const void* x;
  int64_t x_token, x_head;
  void* out;
  int64_t out_token, out_head;
};
/// Rotates up to three kinds of heads (q, k, v) in one pass. The backward pass is the forward pass
/// with direction -1.
struct Rope {
  bool is_bf16;
  int64_t num_tokens;
  int half;          ///< D / 2
  const float* cos;  ///< (num_tokens, half) contiguous
  const float* sin;
  float direction;  ///< 1 or -1
  Heads heads[3];   ///< unused ones have a count of 0
};
void rope(const Rope& job, cudaStream_t stream);

constexpr int kMaxHalf = 128;
/// cos[t, i] = factor * cos(positions[t] * frequencies[i]), from angles in double; sin likewise.
struct RopeTable {
  const int64_t* positions;  ///< (num_tokens)
  int64_t num_tokens;
  int half;
  double factor;
  double frequencies[kMaxHalf];  ///< by value: nothing to copy beforehand, so that CUDA graphs can
                                 ///< hold it
  float* cos;
  float* sin;
};
void rope_table(const RopeTable& job, cudaStream_t stream);

/// The rows of gate_up (and grad) are `*_stride` elements apart.
struct SwiGlu {
  bool is_bf16;
  int64_t num_rows;
  int64_t width;  ///< F
  const void* gate_up;
  int64_t gate_up_stride;
  const void* grad;  ///< of the backward pass
  int64_t grad_stride;
  void* out;  ///< (num_rows, F); in the backward pass the gradient of gate_up, (num_rows, 2F)
};
void swiglu(const SwiGlu& job, cudaStream_t stream);
void swiglu_backward(const SwiGlu& job, cudaStream_t stream);

/// x weight^T + bias, or with norm_weight rms_norm(x + delta) weight^T + bias; all bf16. With
/// `swiglu`, where the weight has num_outputs rows of gates and as many of ups, silu(gate) * up of
/// the rounded gate and up. For few rows, in the time of reading the weight. Rows begin at
/// multiples of 16 bytes. x, or with a norm x, delta and norm_weight, has at most 81,000 numbers.
struct FewRowsLinear {
  int num_rows;  ///< 1 to 4
  int width;     ///< a multiple of 8
  int num_outputs;
  const void* x;  ///< rows `x_stride` elements apart
  int64_t x_stride;
  const void* norm_weight;  ///< null: no norm
  const void* delta;        ///< (num_rows, width) contiguous; may be null
  float eps;
  const void* weight;  ///< (num_outputs or 2 * num_outputs, width) contiguous
  const void* bias;    ///< of as many rows; may be null
  bool swiglu;
  void* sum;  ///< x + delta, where there is a delta
  void* out;  ///< (num_rows, num_outputs)
};
void few_rows_linear(const FewRowsLinear& job, cudaStream_t stream);

/// losses[r] = -log softmax(logits[r])[targets[r]], 0 where the target is no class; with
/// make_gradient, row r of logits becomes the gradient of losses[r].
struct CrossEntropy {
  bool is_bf16;
  int64_t num_rows;
  int64_t num_classes;
  void* logits;  ///< (num_rows, num_classes) contiguous
  const int64_t* targets;
  double* losses;
  bool make_gradient;
};
void cross_entropy(const CrossEntropy& job, cudaStream_t stream);

/// As CrossEntropy, with the softmax of teacher_logits[r] as a second target: divergences[r] is KL
/// of the teacher to the softmax of logits[r], 0 where the target is no class; the gradient is that
/// of (1 - share) losses[r] + share divergences[r].
struct Distillation {
  bool is_bf16;
  int64_t num_rows;
  int64_t num_classes;
  void* logits;                ///< (num_rows, num_classes) contiguous
  const void* teacher_logits;  ///< the same
  const int64_t* targets;
  float share;
  double* losses;
  double* divergences;
  bool make_gradient;
};
void distillation(const Distillation& job, cudaStream_t stream);

/// result[0] = sum of values; result[1] = the first row whose target is neither -1 nor a class, or
/// -1. targets may be null: none is wrong.
void sum_in_order(const double* values, int64_t count, const int64_t* targets, int64_t num_classes,
                  double* result, cudaStream_t stream);

/// sums[i] = the sum of squares of chunk i of x, in double.
constexpr int64_t kSquaresChunk = int64_t{1} << 16;
void sum_squares(bool is_bf16, const void* x, int64_t count, double* sums, cudaStream_t stream);

/// Does what update() in train/optimizer.cpp does.
struct AdamW {
  bool is_bf16;
  const void* gradient;
  void* weight;
  void* m;
  void* v;
  int64_t count;
  uint64_t key;  ///< of the random numbers that bf16 is rounded with
  float grad_scale, new_share1, new_share2, step_size, inverse_root_correction2, eps, keep;
};
void adamw(const AdamW& job, cudaStream_t stream);

/// sum[token] += the rows of grad that belong to it: rows order[i], in the order of i, whose
/// tokens sorted[i] ascend.
struct EmbeddingBackward {
  bool is_bf16;  ///< grad
  int64_t num_rows;
  int64_t width;
  const void* grad;  ///< (num_rows, width) contiguous
  const int64_t* sorted;
  const int64_t* order;
  float* pieces;  ///< (2, num_embedding_pieces(num_rows), width), scratch
  float* sum;     ///< (vocabulary, width) contiguous
};
int64_t num_embedding_pieces(int64_t num_rows);
void embedding_backward(const EmbeddingBackward& job, cudaStream_t stream);

}  // namespace longgen::cuda
