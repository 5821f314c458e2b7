// RMS norm: a group of threads a row. A row is read a second time after its sum is known, from L1
// or L2: DRAM sees one pass.
#include "longgen/ops/cuda/row_kernels.h"
#include "longgen/ops/cuda/vectors.cuh"

namespace longgen::cuda {
namespace {

template <typename T>
__device__ __forceinline__ const T* row_of(const StridedRows& rows, int64_t r) {
  const int64_t outer = quotient(r, rows.num_inner);
  return static_cast<const T*>(rows.data) + outer * rows.outer +
         (r - outer * rows.num_inner) * rows.inner;
}

template <typename T, int kCount, int kGroup>
__global__ void __launch_bounds__(kThreads) rms_norm_kernel(const __grid_constant__ RmsNorm job) {
  const int lane = threadIdx.x % kGroup;
  const int64_t r = blockIdx.x * int64_t{kThreads / kGroup} + threadIdx.x / kGroup;
  const bool is_row = r < job.num_rows;  // the others stay for the sum
  const int width = is_row ? job.width : 0;
  const int64_t offset = r * job.width;
  const T* x = is_row ? row_of<T>(job.x, r) : nullptr;
  float squares = 0;
  for (int i = lane * kCount; i < width; i += kGroup * kCount) {
    Floats<kCount> v = load<kCount>(x + i);
    if (job.delta != nullptr) {
      const auto delta = load<kCount>(static_cast<const T*>(job.delta) + offset + i);
#pragma unroll
      for (int j = 0; j < kCount; ++j) v.at[j] = rounded<T>(v.at[j] + delta.at[j]);
      store(static_cast<T*>(job.sum) + offset + i, v);
    }
#pragma unroll
    for (int j = 0; j < kCount; ++j) squares += v.at[j] * v.at[j];
  }
  const float mean = group_sum<kGroup>(squares) / static_cast<float>(job.width);
  const float inverse = __frsqrt_rn(mean + job.eps);
  if (is_row && lane == 0 && job.inverse_rms != nullptr) job.inverse_rms[r] = inverse;
  // Each thread reads what it wrote itself.
  if (job.delta != nullptr) x = static_cast<const T*>(job.sum) + offset;
  for (int i = lane * kCount; i < width; i += kGroup * kCount) {
    Floats<kCount> v = load<kCount>(x + i);
    const auto weight = load<kCount>(static_cast<const T*>(job.weight) + i);
#pragma unroll
    for (int j = 0; j < kCount; ++j) v.at[j] = v.at[j] * inverse * weight.at[j];
    store(static_cast<T*>(job.out) + offset + i, v);
  }
}

/// A block takes one piece of the rows, each of its groups every n-th row of it. sums: this group's
/// sum of grad * x / rms over its rows, in shared memory; a thread touches only its own columns.
template <typename T, int kCount, int kGroup>
__device__ __forceinline__ void backward_row(const RmsNormBackward& job, int64_t r, bool is_row,
                                             float* sums) {
  const int lane = threadIdx.x % kGroup;
  const int width = is_row ? job.width : 0;
  const T* x = is_row ? row_of<T>(job.x, r) : nullptr;
  const T* grad = is_row ? row_of<T>(job.grad, r) : nullptr;
  const T* weight = static_cast<const T*>(job.weight);
  const float inverse = is_row ? job.inverse_rms[r] : 0.0F;
  float dot = 0;
  for (int i = lane * kCount; i < width; i += kGroup * kCount) {
    const auto h = load<kCount>(x + i), g = load<kCount>(grad + i), w = load<kCount>(weight + i);
    Floats<kCount> term;
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      term.at[j] = g.at[j] * (h.at[j] * inverse);
      dot += w.at[j] * term.at[j];
    }
    if (sums == nullptr) continue;
    auto sum = load<kCount>(sums + i);
#pragma unroll
    for (int j = 0; j < kCount; ++j) sum.at[j] += term.at[j];
    store(sums + i, sum);
  }
  if (job.grad_x == nullptr) return;
  const float mean = group_sum<kGroup>(dot) / static_cast<float>(job.width);
  for (int i = lane * kCount; i < width; i += kGroup * kCount) {
    const auto h = load<kCount>(x + i), g = load<kCount>(grad + i), w = load<kCount>(weight + i);
    Floats<kCount> result;
#pragma unroll
    for (int j = 0; j < kCount; ++j) {
      result.at[j] = (w.at[j] * g.at[j] - mean * (h.at[j] * inverse)) * inverse;
    }
    if (job.grad_sum != nullptr) {
      const auto more = load<kCount>(static_cast<const T*>(job.grad_sum) + r * job.width + i);
#pragma unroll
      for (int j = 0; j < kCount; ++j) result.at[j] += more.at[j];
    }
    store(static_cast<T*>(job.grad_x) + r * job.width + i, result);
  }
}

template <typename T, int kCount, int kGroup>
__global__ void __launch_bounds__(kThreads, 4)
    rms_norm_backward_kernel(const __grid_constant__ RmsNormBackward job, int64_t piece_rows) {
  // (groups, width), where the weight's gradient is wanted
  extern __shared__ __align__(16) float shared[];
  constexpr int kGroups = kThreads / kGroup;
  const int group = threadIdx.x / kGroup, lane = threadIdx.x % kGroup;
  float* sums = job.grad_weight != nullptr ? shared + group * job.width : nullptr;
  if (sums != nullptr) {
    for (int i = lane * kCount; i < job.width; i += kGroup * kCount) {
      store(sums + i, Floats<kCount>{});
    }
  }
  const int64_t begin = blockIdx.x * piece_rows;
  const int64_t end = begin + piece_rows < job.num_rows ? begin + piece_rows : job.num_rows;
  for (int64_t first = begin; first < end; first += kGroups) {
    backward_row<T, kCount, kGroup>(job, first + group, first + group < end, sums);
  }
  if (sums == nullptr) return;
  __syncthreads();
  for (int i = threadIdx.x; i < job.width; i += kThreads) {
    float total = 0;
    for (int g = 0; g < kGroups; ++g) total += shared[g * job.width + i];
    job.pieces[blockIdx.x * int64_t{job.width} + i] = total;
  }
}

constexpr int kColumns = 32, kLanes = 32;

/// Adds the pieces up: lane y those of y, y + 32, ..., then the lanes in their order.
template <typename T>
__global__ void __launch_bounds__(kColumns* kLanes)
    sum_pieces_kernel(const float* pieces, int64_t num_pieces, int width, T* out) {
  __shared__ double sums[kLanes][kColumns + 1];
  const int column = blockIdx.x * kColumns + threadIdx.x;
  double sum = 0;
  if (column < width) {
    for (int64_t p = threadIdx.y; p < num_pieces; p += kLanes) sum += pieces[p * width + column];
  }
  sums[threadIdx.y][threadIdx.x] = sum;
  __syncthreads();
  if (threadIdx.y != 0 || column >= width) return;
  double total = 0;
  for (int y = 0; y < kLanes; ++y) total += sums[y][threadIdx.x];
  store(out + column, Floats<1>{static_cast<float>(total)});
}

/// launch(Group) with the threads of a row, so that each has one step or more, and a few of them
/// where rows are long.
template <int kThreadsOfRow>
struct Group {
  static constexpr int kSize = kThreadsOfRow;
};
template <typename Launch>
void with_group(int width, int step, const Launch& launch) {
  if (width <= 16 * step) {
    launch(Group<8>());
  } else if (width <= 128 * step) {
    launch(Group<32>());
  } else {
    launch(Group<kThreads>());
  }
}

// Pieces of the sum over rows: enough blocks for the GPU, rows enough that the pieces cost little.
constexpr int64_t kMaxPieces = 1024, kLeastRows = 16;

int64_t rows_of_piece(int64_t num_rows) {
  const int64_t rows = (num_rows + kMaxPieces - 1) / kMaxPieces;
  return rows < kLeastRows ? kLeastRows : rows;
}

bool is_wide(bool is_bf16, const StridedRows& rows, int width) {
  return fits_wide(is_bf16, {rows.data}, {width, rows.outer, rows.inner});
}

}  // namespace

void rms_norm(const RmsNorm& job, cudaStream_t stream) {
  if (job.num_rows == 0 || job.width == 0) return;
  const bool wide = is_wide(job.is_bf16, job.x, job.width) &&
                    fits_wide(job.is_bf16, {job.delta, job.weight, job.sum, job.out}, {});
  with_step(job.is_bf16, wide, [&](auto step) {
    using S = decltype(step);
    with_group(job.width, S::kCount, [&](auto group) {
      constexpr int kGroup = decltype(group)::kSize;
      rms_norm_kernel<typename S::Type, S::kCount, kGroup>
          <<<num_blocks(job.num_rows, kThreads / kGroup), kThreads, 0, stream>>>(job);
    });
  });
}

int64_t num_norm_pieces(int64_t num_rows) {
  const int64_t rows = rows_of_piece(num_rows);
  return (num_rows + rows - 1) / rows;
}

void rms_norm_backward(const RmsNormBackward& job, cudaStream_t stream) {
  if (job.width == 0) return;
  const int64_t num_pieces = num_norm_pieces(job.num_rows);
  const bool wide = is_wide(job.is_bf16, job.x, job.width) &&
                    is_wide(job.is_bf16, job.grad, job.width) &&
                    fits_wide(job.is_bf16, {job.weight, job.grad_sum, job.grad_x}, {});
  with_step(job.is_bf16, wide, [&](auto step) {
    using T = typename decltype(step)::Type;
    constexpr int kCount = decltype(step)::kCount;
    with_group(job.width, kCount, [&](auto group) {
      constexpr int kGroup = decltype(group)::kSize;
      const auto kernel = rms_norm_backward_kernel<T, kCount, kGroup>;
      const int shared =
          job.grad_weight == nullptr ? 0 : kThreads / kGroup * job.width * int{sizeof(float)};
      if (shared > 48 * 1024) {
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, shared);
      }
      if (num_pieces == 0) return;
      kernel<<<static_cast<unsigned>(num_pieces), kThreads, shared, stream>>>(
          job, rows_of_piece(job.num_rows));
    });
    if (job.grad_weight == nullptr) return;
    sum_pieces_kernel<T><<<num_blocks(job.width, kColumns), dim3(kColumns, kLanes), 0, stream>>>(
        job.pieces, num_pieces, job.width, static_cast<T*>(job.grad_weight));
  });
}

}  // namespace longgen::cuda
