// Writes new tokens to their pages: one CTA for the rows of a run, for one KV head.
#include "longgen/kv_cache/cuda/kernels.h"
#include "longgen/kv_cache/cuda/page_format.h"

namespace longgen::cuda {
namespace {

constexpr int kThreads = 128;

__device__ __forceinline__ uint4 load_chunk(const HeadRows& x, int64_t row, int head,
                                            int chunk) {
  const auto* values = static_cast<const uint16_t*>(x.data) + row * x.row_stride +
                       head * x.head_stride + chunk * kChunkValues;
  return *reinterpret_cast<const uint4*>(values);
}

__global__ void __launch_bounds__(kThreads) write_kernel(const WriteArguments a) {
  const int head = blockIdx.y;
  const PassRun run = a.runs[blockIdx.x];
  const int page = a.run_pages[head * a.num_runs + blockIdx.x];
  if (page < 0) return;
  std::byte* const keys = a.memory + page * a.page_bytes;
  std::byte* const values = keys + side_bytes(a.head_size);
  // Whoever begins a block clears the rest of it: 0 * NaN would be NaN.
  const int end = run.first_place == 0 ? kBlock : run.first_place + run.num_rows;
  const int chunks = a.head_size / kChunkValues;
  for (int i = threadIdx.x; i < (end - run.first_place) * chunks; i += kThreads) {
    const int row = i / chunks, chunk = i % chunks;
    uint4 k = make_uint4(0, 0, 0, 0), v = k;
    if (row < run.num_rows) {
      k = load_chunk(a.k, run.first_row + row, head, chunk);
      v = load_chunk(a.v, run.first_row + row, head, chunk);
    }
    const int offset = chunk_offset(run.first_place + row, chunk);
    *reinterpret_cast<uint4*>(keys + offset) = k;
    *reinterpret_cast<uint4*>(values + offset) = v;
  }
}

}  // namespace

cudaError_t write_pages(const WriteArguments& arguments, cudaStream_t stream) {
  if (arguments.num_runs == 0) return cudaSuccess;
  const dim3 grid(arguments.num_runs, arguments.num_kv_heads);
  write_kernel<<<grid, kThreads, 0, stream>>>(arguments);
  return cudaGetLastError();
}

}  // namespace longgen::cuda
