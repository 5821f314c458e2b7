// The gradient of the embedding: the rows of each token, summed in their order. The rows come
// sorted by token and are cut into pieces of kPieceRows. The rows of a token that lie in one piece
// are added at once; a token whose rows go over the border of pieces gets a sum from each of them,
// and these are added in a second kernel. So no two blocks add to the same row of the result.
#include "longgen/ops/cuda/row_kernels.h"
#include "longgen/ops/cuda/vectors.cuh"

namespace longgen::cuda {
namespace {

constexpr int64_t kPieceRows = 64;
constexpr int kColumnThreads = 128;

struct Columns {
  int64_t first;
  bool any;
};
template <int kCount>
__device__ __forceinline__ Columns columns_of_thread(int64_t width) {
  const int64_t first = (blockIdx.y * int64_t{kColumnThreads} + threadIdx.x) * kCount;
  return {first, first < width};
}

template <int kCount>
__device__ __forceinline__ void add_to(float* to, const Floats<kCount>& more) {
  auto sum = load<kCount>(to);
#pragma unroll
  for (int j = 0; j < kCount; ++j) sum.at[j] += more.at[j];
  store(to, sum);
}

/// Where the sum of a token goes that piece p shares with the piece before it (0) or only with the
/// one after it (1).
__device__ __forceinline__ float* shared_sum(const EmbeddingBackward& job, int64_t piece,
                                             int which) {
  return job.pieces + (2 * piece + which) * job.width;
}

template <typename T, int kCount>
__global__ void __launch_bounds__(kColumnThreads)
    sum_in_pieces_kernel(const __grid_constant__ EmbeddingBackward job) {
  const auto [column, any] = columns_of_thread<kCount>(job.width);
  if (!any) return;
  const int64_t piece = blockIdx.x, begin = piece * kPieceRows;
  const int64_t end = begin + kPieceRows < job.num_rows ? begin + kPieceRows : job.num_rows;
  const T* grad = static_cast<const T*>(job.grad) + column;
  for (int64_t i = begin; i < end;) {
    const int64_t token = job.sorted[i];
    const bool from_before = i == begin && i > 0 && job.sorted[i - 1] == token;
    Floats<kCount> sum{};
    for (; i < end && job.sorted[i] == token; ++i) {
      const auto row = load<kCount>(grad + job.order[i] * job.width);
#pragma unroll
      for (int j = 0; j < kCount; ++j) sum.at[j] += row.at[j];
    }
    const bool goes_on = i == end && i < job.num_rows && job.sorted[i] == token;
    if (from_before) {
      store(shared_sum(job, piece, 0) + column, sum);
    } else if (goes_on) {
      store(shared_sum(job, piece, 1) + column, sum);
    } else {
      add_to(job.sum + token * job.width + column, sum);
    }
  }
}

/// Goes on with the token that begins in this piece and continues in the next ones, if
/// there is one.
template <int kCount>
__global__ void __launch_bounds__(kColumnThreads)
    join_pieces_kernel(const __grid_constant__ EmbeddingBackward job) {
  const auto [column, any] = columns_of_thread<kCount>(job.width);
  const int64_t piece = blockIdx.x, begin = piece * kPieceRows, end = begin + kPieceRows;
  if (!any || end >= job.num_rows) return;
  const int64_t token = job.sorted[end];
  if (job.sorted[end - 1] != token) return;
  if (begin > 0 && job.sorted[begin - 1] == token) return;  // began earlier
  Floats<kCount> sum = load<kCount>(shared_sum(job, piece, 1) + column);
  for (int64_t next = piece + 1; next * kPieceRows < job.num_rows; ++next) {
    if (job.sorted[next * kPieceRows] != token) break;
    const auto more = load<kCount>(shared_sum(job, next, 0) + column);
#pragma unroll
    for (int j = 0; j < kCount; ++j) sum.at[j] += more.at[j];
  }
  add_to(job.sum + token * job.width + column, sum);
}

}  // namespace

int64_t num_embedding_pieces(int64_t num_rows) { return (num_rows + kPieceRows - 1) / kPieceRows; }

void embedding_backward(const EmbeddingBackward& job, cudaStream_t stream) {
  if (job.num_rows == 0 || job.width == 0) return;
  const bool wide = fits_wide(job.is_bf16, {job.grad, job.pieces, job.sum}, {job.width});
  with_step(job.is_bf16, wide, [&](auto step) {
    using S = decltype(step);
    const dim3 blocks(num_blocks(job.num_rows, kPieceRows),
                      num_blocks(job.width, kColumnThreads * S::kCount));
    sum_in_pieces_kernel<typename S::Type, S::kCount><<<blocks, kColumnThreads, 0, stream>>>(job);
    join_pieces_kernel<S::kCount><<<blocks, kColumnThreads, 0, stream>>>(job);
  });
}

}  // namespace longgen::cuda
