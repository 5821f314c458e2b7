// ops/tensors.h: what the ops share when they check tensors and hand them to the row kernels.
#pragma once

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cstdint>

#include "longgen/attention/operator.h"
#include "longgen/ops/cpu/row_kernels.h"
#include "longgen/ops/gpu_ops.h"
#include "longgen/ops/rows_of.h"

namespace longgen {

inline bool is_supported_dtype(const at::Tensor& x) {
  const at::ScalarType type = x.scalar_type();
  return type == at::kFloat || type == at::kBFloat16 || type == at::kDouble;
}

/// Whether there are kernels of ours for x: those of cpu/, or of the GPU plug-in. Everything
/// else (fp64 in gradient checks, other devices) goes through plain torch, which is slower and
/// needs more memory.
inline bool has_row_kernels(const at::Tensor& x) {
  const at::ScalarType type = x.scalar_type();
  return (type == at::kFloat || type == at::kBFloat16) &&
         (x.is_cpu() || (x.is_cuda() && gpu::has_kernels()));
}

inline bool is_bf16(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16; }

/// The type in which plain torch computes for x: fp64 for fp64, otherwise fp32.
inline at::ScalarType compute_type(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

/// With fewer elements a second thread costs more than it saves (about 10 us of work).
constexpr int64_t kParallelElements = 32768;

/// work(begin, end) over [0, num_rows) on all threads; small ranges on this one. The ranges depend
/// on the number of threads: rows must not.
template <typename Work>
void parallel_rows(int64_t num_rows, int64_t elements_per_row, const Work& work) {
  if (num_rows * elements_per_row < 2 * kParallelElements) {
    if (num_rows > 0) work(0, num_rows);  // decoding: not even the look at the thread pool
    return;
  }
  const int64_t grain = std::max<int64_t>(1, kParallelElements / elements_per_row);
  at::parallel_for(0, num_rows, grain, work);
}

}  // namespace longgen
