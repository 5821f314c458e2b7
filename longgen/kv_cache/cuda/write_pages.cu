// Writes new tokens to their pages: one CTA for the rows of a run, for one KV head.
#include "longgen/kv_cache/cuda/kernels.h"
#include "longgen/kv_cache/cuda/page_format.h"
#include "longgen/ops/cuda/rotate.cuh"

namespace longgen::cuda {
namespace {

constexpr int kWriteThreads = 128;

/// The run and the KV head of a CTA.
struct PlaceOfRun {
  PassRun run;
  std::byte* keys;  // null: the pattern keeps no page for it
  std::byte* values;
  int num_rows;  // with those that are cleared

  __device__ __forceinline__ explicit PlaceOfRun(const PagedRuns& to) : run(to.runs[blockIdx.x]) {
    const int page = to.run_pages[blockIdx.y * to.num_runs + blockIdx.x];
    keys = page < 0 ? nullptr : to.memory + page * to.page_bytes;
    values = keys + side_bytes(to.head_size);
    // Whoever begins a block clears the rest of it: 0 * NaN would be NaN.
    num_rows = run.first_place == 0 && page >= 0 ? kBlock : run.num_rows;
  }
  __device__ __forceinline__ int offset(int row, int chunk) const {
    return chunk_offset(run.first_place + row, chunk);
  }
};

__device__ __forceinline__ uint4 load_chunk(const HeadRows& x, int64_t row, int head, int chunk) {
  const auto* values = static_cast<const uint16_t*>(x.data) + row * x.row_stride +
                       head * x.head_stride + chunk * kChunkValues;
  return *reinterpret_cast<const uint4*>(values);
}

__global__ void __launch_bounds__(kWriteThreads) write_kernel(const WriteArguments a) {
  const PlaceOfRun place(a.to);
  if (place.keys == nullptr) return;
  const int head = blockIdx.y, chunks = a.to.head_size / kChunkValues;
  for (int i = threadIdx.x; i < place.num_rows * chunks; i += kWriteThreads) {
    const int row = i / chunks, chunk = i % chunks;
    uint4 k = make_uint4(0, 0, 0, 0), v = k;
    if (row < place.run.num_rows) {
      k = load_chunk(a.k, place.run.first_row + row, head, chunk);
      v = load_chunk(a.v, place.run.first_row + row, head, chunk);
    }
    const int offset = place.offset(row, chunk);
    *reinterpret_cast<uint4*>(place.keys + offset) = k;
    *reinterpret_cast<uint4*>(place.values + offset) = v;
  }
}

/// Of every row the query heads of the KV head, its key and its value: a thread takes a chunk of
/// the first half of a head and the same of the second.
__global__ void __launch_bounds__(kWriteThreads)
    write_rotated_kernel(const WriteRotatedArguments a) {
  const PlaceOfRun place(a.to);
  const int kv_head = blockIdx.y, head_size = a.to.head_size, half = head_size / 2;
  const int group = a.num_heads / a.to.num_kv_heads, steps = half / kChunkValues;
  const int per_row = (group + 2) * steps;
  for (int i = threadIdx.x; i < place.num_rows * per_row; i += kWriteThreads) {
    const int row = i / per_row, which = i % per_row / steps, chunk = i % steps;
    const bool is_query = which < group, is_value = which == group + 1;
    const int64_t token = place.run.first_row + row;
    const int query_head = kv_head * group + which;
    const int head =
        is_query ? query_head : a.num_heads + (is_value ? a.to.num_kv_heads : 0) + kv_head;
    Floats<kChunkValues> first = {}, second = {};
    if (row < place.run.num_rows) {
      const auto* const x = static_cast<const Bf16*>(a.heads.data) + token * a.heads.row_stride +
                            head * a.heads.head_stride + chunk * kChunkValues;
      first = load<kChunkValues>(x);
      second = load<kChunkValues>(x + half);
      if (!is_value) {
        const int64_t angle = token * half + chunk * kChunkValues;
        rotate(first, second, load<kChunkValues>(a.cos + angle), load<kChunkValues>(a.sin + angle),
               1.0F);
      }
    } else if (is_query) {
      continue;
    }
    if (is_query) {
      Bf16* const q = static_cast<Bf16*>(a.q) + (token * a.num_heads + query_head) * head_size +
                      chunk * kChunkValues;
      store(q, first);
      store(q + half, second);
    } else if (place.keys != nullptr) {
      std::byte* const side = is_value ? place.values : place.keys;
      store(reinterpret_cast<Bf16*>(side + place.offset(row, chunk)), first);
      store(reinterpret_cast<Bf16*>(side + place.offset(row, chunk + steps)), second);
    }
  }
}

dim3 grid_of(const PagedRuns& to) { return dim3(to.num_runs, to.num_kv_heads); }

}  // namespace

cudaError_t write_pages(const WriteArguments& arguments, cudaStream_t stream) {
  if (arguments.to.num_runs == 0) return cudaSuccess;
  write_kernel<<<grid_of(arguments.to), kWriteThreads, 0, stream>>>(arguments);
  return cudaGetLastError();
}

cudaError_t write_rotated_pages(const WriteRotatedArguments& arguments, cudaStream_t stream) {
  if (arguments.to.num_runs == 0) return cudaSuccess;
  write_rotated_kernel<<<grid_of(arguments.to), kWriteThreads, 0, stream>>>(arguments);
  return cudaGetLastError();
}

}  // namespace longgen::cuda
