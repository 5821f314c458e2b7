// ops/linear_loss.h: what the losses on an output layer share: their checks, the chunks in which
// logits are made, and the sums over rows.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "longgen/ops/linear_distillation.h"

namespace longgen {

/// What the rows of an output layer are compared with. Undefined row_weights_T: all are 1; an
/// undefined teacher: the targets alone count.
struct LinearLoss {
  at::Tensor targets_T, row_weights_T;
  DistillationTeacher teacher = {};
  double share = 0;
  int64_t chunk_rows = kChunkRowsOfDevice;
};

/// Throws Error, beginning with "[op]", where shapes, dtypes, devices or, on the CPU, targets do
/// not fit.
void check_linear_loss(const char* op, const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                       const LinearLoss& loss);

/// Some rows of (T, ...) tensors.
struct RowChunk {
  int64_t first, count;
  at::Tensor of(const at::Tensor& x) const { return x.narrow(0, first, count); }
};
/// Cuts rows into chunks of at most chunk_rows, the longest first. They are of equal length, one
/// row more or less: ATen's products of very few rows are slower, less exact, and do depend on the
/// number of threads (fp32, MKL 2024.2 on Zen 4: 5 to 11 rows).
std::vector<RowChunk> chunks_of(const at::Tensor& hidden_TE, int64_t chunk_rows);

/// The logits of one chunk at a time, in one buffer.
class ChunkLogits {
 public:
  ChunkLogits(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
              const std::vector<RowChunk>& chunks);
  /// They stand until the next call.
  at::Tensor of(const RowChunk& chunk);

 private:
  at::Tensor hidden_TE_, weight_VE_, buffer_;
};

/// Makes a number for each row, in fp64, so that the loss of a million rows keeps its digits.
at::Tensor empty_losses(const at::Tensor& hidden_TE);
/// Adds losses (T) in a fixed order. On a GPU it waits, and throws Error for a wrong target, which
/// check_linear_loss() did not look for there.
at::Tensor sum_losses(const at::Tensor& losses_T, const at::Tensor& targets_T, int64_t num_classes);

/// Writes losses (T) of a chunk of logits, which become the gradients where asked for.
void chunk_cross_entropy(const at::Tensor& logits_TV, const at::Tensor& targets_T,
                         const at::Tensor& losses_T, bool make_gradient);
/// The same beside a teacher's logits, with its divergences (T), and the gradients of both.
void chunk_distillation(const at::Tensor& logits_TV, const at::Tensor& teacher_TV, double share,
                        const at::Tensor& targets_T, const at::Tensor& losses_T,
                        const at::Tensor& divergences_T, bool make_gradient);

}  // namespace longgen
