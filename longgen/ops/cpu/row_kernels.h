// ops/cpu/row_kernels.h: the inner loops of the ops on the CPU, on ranges of rows of one
// thread. row_kernels.cpp is compiled once for each instruction set; row_kernels() picks by
// what the processor has.
#pragma once

#include <cstdint>
#include <vector>

#include "longgen/ops/strided_rows.h"

namespace longgen::cpu {

/// All of these structs: outputs are contiguous and have the dtype of the inputs, and arithmetic is
/// fp32. A null output is left out.
struct RmsNorm {
  bool is_bf16;
  int64_t width;
  double eps;
  StridedRows x;
  const void* weight;
  float added;  ///< to each weight
  void* out;
  float* inverse_rms;  ///< a number for each row, for the backward pass; may be null
};

struct RmsNormBackward {
  bool is_bf16;
  int64_t width;
  StridedRows x, grad;
  const void* weight;
  float added;
  const float* inverse_rms;
  void* grad_x;        ///< may be null
  float* grad_weight;  ///< (width), to which the rows are added in their order; may be null
};

/// Rotates x (T, heads, D); the backward pass is the forward pass with direction -1.
struct Rope {
  bool is_bf16;
  int64_t num_heads;
  int64_t half;  ///< D / 2
  const void* x;
  int64_t token_stride, head_stride;
  const float* cos;  ///< (T, half) contiguous
  const float* sin;
  float direction;  ///< 1 or -1
  void* out;
};

/// activation(gate) * up. Rows of gate_up and grad are `*_stride` elements apart; grad_gate_up is
/// contiguous.
struct Glu {
  bool is_bf16;
  int64_t width;  ///< F
  const void* gate_up;
  int64_t gate_up_stride;
  void* out;
};

struct GluBackward {
  bool is_bf16;
  int64_t width;
  const void* gate_up;
  int64_t gate_up_stride;
  const void* grad;
  int64_t grad_stride;
  void* grad_gate_up;
};

/// losses[r] = -log softmax(logits[r])[targets[r]], 0 where the target is negative; with
/// make_gradient, row r of logits becomes the gradient of losses[r].
struct CrossEntropy {
  bool is_bf16;
  int64_t num_classes;
  void* logits;  ///< (rows, num_classes) contiguous
  const int64_t* targets;
  double* losses;
  bool make_gradient;
};

/// As CrossEntropy, with the softmax of teacher_logits[r] as a second target: divergences[r] is KL
/// of the teacher to the softmax of logits[r], 0 where the target is negative; the gradient is that
/// of (1 - share) losses[r] + share divergences[r].
struct Distillation {
  bool is_bf16;
  int64_t num_classes;
  void* logits;                ///< (rows, num_classes) contiguous
  const void* teacher_logits;  ///< the same
  const int64_t* targets;
  float share;
  double* losses;
  double* divergences;
  bool make_gradient;
};

/// Rows of x become what Linear reads: fp32, each padded_linear_width() long, in an order of the
/// instruction set's own.
struct LinearRows {
  bool is_bf16;
  int64_t width;
  const void* x;  ///< rows are x_stride elements apart
  int64_t x_stride;
  float* out;
};
constexpr int64_t kLinearPadding = 32;
constexpr int64_t padded_linear_width(int64_t width) {
  return (width + kLinearPadding - 1) / kLinearPadding * kLinearPadding;
}

/// out (rows, outputs) = x weight^T + bias for few rows of x: each row of weight is read once. No
/// bit of a row of `out` depends on the other rows, on how many they are, or on begin and end.
struct Linear {
  bool is_bf16;
  int64_t num_rows;  ///< at most kMostLinearRows
  int64_t width, num_outputs;
  const float* x;      ///< what linear_rows() of the same kernels wrote
  const void* weight;  ///< (num_outputs, width) contiguous
  const void* bias;    ///< (num_outputs); may be null
  void* out;
};
constexpr int64_t kMostLinearRows = 64;

/// Each works on rows (Rope: tokens, Linear: rows of the weight) begin to end.
struct RowKernels {
  const char* instruction_set;
  void (*rms_norm)(const RmsNorm& job, int64_t begin, int64_t end);
  void (*rms_norm_backward)(const RmsNormBackward& job, int64_t begin, int64_t end);
  void (*rope)(const Rope& job, int64_t begin, int64_t end);
  void (*swiglu)(const Glu& job, int64_t begin, int64_t end);
  void (*swiglu_backward)(const GluBackward& job, int64_t begin, int64_t end);
  void (*geglu)(const Glu& job, int64_t begin, int64_t end);
  void (*geglu_backward)(const GluBackward& job, int64_t begin, int64_t end);
  void (*cross_entropy)(const CrossEntropy& job, int64_t begin, int64_t end);
  void (*distillation)(const Distillation& job, int64_t begin, int64_t end);
  void (*linear_rows)(const LinearRows& job, int64_t begin, int64_t end);
  void (*linear)(const Linear& job, int64_t begin, int64_t end);
  /// to[i] = e^from[i]: what glu and the losses use, for its test.
  void (*exp)(int64_t count, const float* from, float* to);
};

/// The fastest kernels that this processor runs.
const RowKernels& row_kernels();
/// All kernels that this processor runs, the fastest first.
const std::vector<const RowKernels*>& supported_row_kernels();

}  // namespace longgen::cpu
