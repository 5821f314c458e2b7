// The draw of tokens: a block a row, which comes from L2 in every pass but the first.
#include "longgen/attention/cuda/launch.cuh"
#include "longgen/engine/cuda/draw.h"
#include "longgen/engine/cuda/draw_in_block.h"

namespace longgen::cuda {
namespace {

constexpr int kThreads = kMostThreads;

class GpuBlock {
 public:
  __device__ static int rank() { return static_cast<int>(threadIdx.x); }
  __device__ static int size() { return kThreads; }
  __device__ static void sync() { __syncthreads(); }
  __device__ static uint32_t add(uint32_t* to, uint32_t value) { return atomicAdd(to, value); }
};

__global__ void __launch_bounds__(kThreads, 1) draw_kernel(const __grid_constant__ DrawJob job) {
  GpuBlock block;
  RowDraw<GpuBlock>(block, whole_shared<DrawMemory>(), job, blockIdx.x).run();
}

__global__ void put_drawn_kernel(int64_t* tokens_T, int64_t count, const int64_t* drawn_S) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < count && tokens_T[i] < 0) tokens_T[i] = drawn_S[-1 - tokens_T[i]];
}

}  // namespace

void draw_tokens(const DrawJob& job, int64_t num_rows, cudaStream_t stream) {
  if (num_rows == 0) return;
  constexpr int kBytes = sizeof(DrawMemory);
  static_assert(kBytes <= 227 * 1024);
  // A refusal makes the launch fail, which is reported.
  cudaFuncSetAttribute(draw_kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, kBytes);
  draw_kernel<<<static_cast<unsigned>(num_rows), kThreads, kBytes, stream>>>(job);
}

void put_drawn_tokens(int64_t* tokens_T, int64_t count, const int64_t* drawn_S,
                      cudaStream_t stream) {
  if (count == 0) return;
  constexpr int kPerBlock = 256;
  const auto num_blocks = static_cast<unsigned>((count + kPerBlock - 1) / kPerBlock);
  put_drawn_kernel<<<num_blocks, kPerBlock, 0, stream>>>(tokens_T, count, drawn_S);
}

}  // namespace longgen::cuda
