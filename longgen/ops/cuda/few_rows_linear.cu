// x weight^T of few rows: reading the weight is what takes time. The rows of the weight divide
// among all warps of the GPU. A warp copies pieces of its rows into a ring of its own in shared
// memory, some of them ahead; no warp waits for another. Every CTA has x in shared memory, too, and
// makes the norm of it for itself.
#include "longgen/attention/cuda/launch.cuh"
#include "longgen/attention/cuda/ptx.cuh"
#include "longgen/ops/cuda/row_kernels.h"
#include "longgen/ops/cuda/vectors.cuh"

namespace longgen::cuda {
namespace {

constexpr int kStep = 32 * 8;      // columns that a warp computes with at once: 16 bytes a lane
constexpr int kPiece = 8 * kStep;  // of one copy: shorter ones are slower
constexpr int kPieceBytes = kPiece * 2;
constexpr int kWarps = kThreads / 32;
constexpr int kMostStages = 4;
constexpr int kMaxSharedBytes = 226 << 10;

/// How many rows of `width` numbers stand in shared memory: x, for the norm its weight and, where
/// there is one, delta.
__host__ __device__ constexpr int rows_in_shared(const FewRowsLinear& job) {
  if (job.norm_weight == nullptr) return job.num_rows;
  return job.num_rows + 1 + (job.delta == nullptr ? 0 : job.num_rows);
}

struct Barriers {
  uint64_t rows;  // of the rows in shared memory
  uint64_t pieces[kWarps][kMostStages];
};

/// Goes through the pieces of a warp's rows. Outputs of a warp are `distance` apart; with SwiGLU
/// each has a row of gates, then one of ups.
struct Cursor {
  int output, column = 0;
  bool is_up = false;

  __device__ explicit Cursor(int first) : output(first) {}
  __device__ __forceinline__ int64_t weight_row(const FewRowsLinear& job) const {
    return is_up ? int64_t{output} + job.num_outputs : output;
  }
  __device__ __forceinline__ int columns(const FewRowsLinear& job) const {
    return min(kPiece, job.width - column);
  }
  /// Whether a row of the weight ends with this piece.
  __device__ __forceinline__ bool ends_row(const FewRowsLinear& job) const {
    return column + kPiece >= job.width;
  }
  __device__ __forceinline__ void next(const FewRowsLinear& job, int distance) {
    const bool ended = ends_row(job);
    column = ended ? 0 : column + kPiece;
    if (!ended) return;
    if (!job.swiglu || is_up) output += distance;
    is_up = job.swiglu && !is_up;
  }
};

/// x has kRows rows or fewer.
template <int kRows>
struct Kernel {
  const FewRowsLinear& job;
  Barriers& barriers;
  float (&squares_of_warps)[kRows][kWarps];
  Bf16* rows;  // in shared memory
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  int num_stages, distance;
  uint8_t* ring;  // of this warp
  Cursor ahead;   // the next copy

  __device__ Kernel(const FewRowsLinear& j, Barriers& b, float (&s)[kRows][kWarps], uint8_t* memory,
                    int stages)
      : job(j),
        barriers(b),
        squares_of_warps(s),
        rows(reinterpret_cast<Bf16*>(memory)),
        num_stages(stages),
        distance(static_cast<int>(gridDim.x) * kWarps),
        // The rest of a division goes to all CTAs.
        ahead(static_cast<int>(threadIdx.x / 32 * gridDim.x + blockIdx.x)) {
    ring = memory + rows_in_shared(job) * job.width * 2 + warp * num_stages * kPieceBytes;
  }

  __device__ __forceinline__ Bf16* row(int i) const { return rows + i * job.width; }
  __device__ __forceinline__ Bf16* delta_row(int i) const { return row(job.num_rows + 1 + i); }

  __device__ __forceinline__ void init_barriers() {
    if (threadIdx.x == 0) barrier_init(&barriers.rows, 1);
    if (lane == 0) {
      for (int i = 0; i < num_stages; ++i) barrier_init(&barriers.pieces[warp][i], 1);
      fence_barrier_init();
    }
    __syncthreads();
  }

  __device__ __forceinline__ void copy_rows() {
    const uint32_t bytes = job.width * 2;
    barrier_expect(&barriers.rows, rows_in_shared(job) * bytes);
    for (int r = 0; r < job.num_rows; ++r) {
      copy_bytes(row(r), static_cast<const Bf16*>(job.x) + r * job.x_stride, bytes, &barriers.rows);
    }
    if (job.norm_weight == nullptr) return;
    copy_bytes(row(job.num_rows), job.norm_weight, bytes, &barriers.rows);
    for (int r = 0; r < job.num_rows && job.delta != nullptr; ++r) {
      copy_bytes(delta_row(r), static_cast<const Bf16*>(job.delta) + r * int64_t{job.width}, bytes,
                 &barriers.rows);
    }
  }

  /// The next piece; one lane calls it.
  __device__ __forceinline__ void copy_piece(int stage) {
    if (ahead.output >= job.num_outputs) return;
    const uint32_t bytes = ahead.columns(job) * 2;
    barrier_expect(&barriers.pieces[warp][stage], bytes);
    copy_bytes(
        ring + stage * kPieceBytes,
        static_cast<const Bf16*>(job.weight) + ahead.weight_row(job) * job.width + ahead.column,
        bytes, &barriers.pieces[warp][stage]);
    ahead.next(job, distance);
  }

  __device__ __forceinline__ void multiply_step(float (&sums)[kRows][2], const uint8_t* piece,
                                                int column, int at) const {
    const auto weight = longgen::cuda::load<8>(reinterpret_cast<const Bf16*>(piece) + at);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const auto x = longgen::cuda::load<8>(row(min(r, job.num_rows - 1)) + column + at);
#pragma unroll
      for (int i = 0; i < 8; ++i) sums[r][i % 2] += weight.at[i] * x.at[i];
    }
  }

  __device__ __forceinline__ void multiply(float (&sums)[kRows][2], const uint8_t* piece,
                                           int column) const {
    if (column + kPiece <= job.width) {
#pragma unroll
      for (int i = 0; i < kPiece; i += kStep) multiply_step(sums, piece, column, i + lane * 8);
    } else {
      for (int at = lane * 8; column + at < job.width; at += kStep)
        multiply_step(sums, piece, column, at);
    }
  }

  __device__ void run() {
    Cursor now = ahead;
    init_barriers();
    if (threadIdx.x == 0) copy_rows();
    if (lane == 0) {
      for (int i = 0; i < num_stages; ++i) copy_piece(i);
    }
    barrier_wait(&barriers.rows, 0);
    if (job.norm_weight != nullptr) make_norm();
    float sums[kRows][2] = {}, gates[kRows] = {};
    int stage = 0;
    uint32_t phase = 0;
    while (now.output < job.num_outputs) {
      barrier_wait(&barriers.pieces[warp][stage], phase);
      multiply(sums, ring + stage * kPieceBytes, now.column);
      __syncwarp();
      if (lane == 0) copy_piece(stage);
      if (++stage == num_stages) {
        stage = 0;
        phase ^= 1;
      }
      if (now.ends_row(job)) end_row(sums, gates, now);
      now.next(job, distance);
    }
  }

  __device__ __forceinline__ void end_row(float (&sums)[kRows][2], float (&gates)[kRows],
                                          const Cursor& now) const {
    const float bias =
        job.bias == nullptr
            ? 0.0F
            : __bfloat162float(static_cast<const Bf16*>(job.bias)[now.weight_row(job)]);
#pragma unroll
    for (int r = 0; r < kRows; ++r) {
      const float sum = rounded<Bf16>(group_sum<32>(sums[r][0] + sums[r][1]) + bias);
      sums[r][0] = sums[r][1] = 0;
      if (job.swiglu && !now.is_up) {
        gates[r] = sum;
      } else if (lane == r && r < job.num_rows) {
        const float result = job.swiglu ? silu(gates[r]) * sum : sum;
        static_cast<Bf16*>(job.out)[r * int64_t{job.num_outputs} + now.output] =
            __float2bfloat16_rn(result);
      }
    }
  }

  /// rms_norm(x + delta) of all rows, in place of x; the first CTA stores the sum.
  __device__ __forceinline__ void make_norm() {
    using longgen::cuda::load, longgen::cuda::store;
    for (int r = 0; r < job.num_rows; ++r) {
      float squares = 0;
      for (int i = threadIdx.x * 8; i < job.width; i += kThreads * 8) {
        Floats<8> v = load<8>(row(r) + i);
        if (job.delta != nullptr) {
          const auto delta = load<8>(delta_row(r) + i);
#pragma unroll
          for (int j = 0; j < 8; ++j) v.at[j] = rounded<Bf16>(v.at[j] + delta.at[j]);
          store(row(r) + i, v);
          if (blockIdx.x == 0) store(static_cast<Bf16*>(job.sum) + r * int64_t{job.width} + i, v);
        }
#pragma unroll
        for (int j = 0; j < 8; ++j) squares += v.at[j] * v.at[j];
      }
      squares = group_sum<32>(squares);
      if (lane == 0) squares_of_warps[r][warp] = squares;
    }
    __syncthreads();
    for (int r = 0; r < job.num_rows; ++r) {
      float squares = 0;
#pragma unroll
      for (int w = 0; w < kWarps; ++w) squares += squares_of_warps[r][w];
      const float inverse = __frsqrt_rn(squares / static_cast<float>(job.width) + job.eps);
      for (int i = threadIdx.x * 8; i < job.width; i += kThreads * 8) {  // what this thread summed
        Floats<8> v = load<8>(row(r) + i);
        const auto weight = load<8>(row(job.num_rows) + i);
#pragma unroll
        for (int j = 0; j < 8; ++j) v.at[j] = v.at[j] * inverse * weight.at[j];
        store(row(r) + i, v);
      }
    }
    __syncthreads();
  }
};

template <int kRows>
__global__ void __launch_bounds__(kThreads)
    few_rows_linear_kernel(const __grid_constant__ FewRowsLinear job, int num_stages) {
  extern __shared__ __align__(128) uint8_t memory[];
  __shared__ Barriers barriers;
  __shared__ float squares_of_warps[kRows][kWarps];
  Kernel<kRows>(job, barriers, squares_of_warps, memory, num_stages).run();
}

template <int kRows>
void launch(const FewRowsLinear& job, cudaStream_t stream) {
  constexpr int kStageBytes = kWarps * kPieceBytes;
  const int row_bytes = rows_in_shared(job) * job.width * 2;
  const int room = (kMaxSharedBytes - row_bytes) / kStageBytes;
  const int num_stages = room < kMostStages ? room : kMostStages;
  const int bytes = row_bytes + num_stages * kStageBytes;
  cudaFuncSetAttribute(few_rows_linear_kernel<kRows>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                       bytes);
  few_rows_linear_kernel<kRows>
      <<<num_multiprocessors(), kThreads, bytes, stream>>>(job, num_stages);
}

}  // namespace

void few_rows_linear(const FewRowsLinear& job, cudaStream_t stream) {
  if (job.num_rows == 1) {
    launch<1>(job, stream);
  } else if (job.num_rows == 2) {
    launch<2>(job, stream);
  } else {
    launch<4>(job, stream);
  }
}

}  // namespace longgen::cuda
