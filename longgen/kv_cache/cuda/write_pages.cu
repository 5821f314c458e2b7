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

/// The RMS norm of a head of which kSteps neighbouring threads have two chunks each. The squares
/// are added in the order of rms_norm(), which has eight threads a head, so that every bit is the
/// same. All threads call it.
template <int kSteps>
__device__ __forceinline__ void normalize(Floats<kChunkValues>& first, Floats<kChunkValues>& second,
                                          const Bf16* weight, int chunk, float eps) {
  const auto with_squares = [](float sum, const Floats<kChunkValues>& x) {
#pragma unroll
    for (int j = 0; j < kChunkValues; ++j) sum = __fmaf_rn(x.at[j], x.at[j], sum);
    return sum;
  };
  const float squares = with_squares(0, first);
  const float sum = group_sum<kSteps>(kSteps == 8 ? with_squares(squares, second)
                                                  : squares + with_squares(0, second));
  const float inverse = __frsqrt_rn(__fdiv_rn(sum, 2.0F * kSteps * kChunkValues) + eps);
  const auto scale = [&](Floats<kChunkValues>& x, int of_chunk) {
    const auto w = load<kChunkValues>(weight + of_chunk * kChunkValues);
#pragma unroll
    for (int j = 0; j < kChunkValues; ++j) x.at[j] = rounded<Bf16>(x.at[j] * inverse * w.at[j]);
  };
  scale(first, chunk);
  scale(second, chunk + kSteps);
}

/// Norms, rotates and writes of every row the query heads of the KV head, its key and its value. A
/// head has kSteps threads; each takes a chunk of the first half and the same chunk of the second.
template <int kSteps, bool kHasNorm>
__global__ void __launch_bounds__(kWriteThreads)
    prepare_and_write_kernel(const __grid_constant__ PrepareArguments a) {
  constexpr int kHalf = kSteps * kChunkValues;
  const PlaceOfRun place(a.to);
  const int kv_head = blockIdx.y, group = a.num_heads / a.to.num_kv_heads;
  const int per_row = (group + 2) * kSteps, num_items = place.num_rows * per_row;
  for (int first_item = 0; first_item < num_items; first_item += kWriteThreads) {
    const int item = first_item + static_cast<int>(threadIdx.x);
    const int row = item / per_row, which = item % per_row / kSteps, chunk = item % kSteps;
    const bool is_query = which < group, is_value = which == group + 1;
    const bool is_token = row < place.run.num_rows;
    const int64_t token = place.run.first_row + row;
    const int query_head = kv_head * group + which;
    const int head =
        is_query ? query_head : a.num_heads + (is_value ? a.to.num_kv_heads : 0) + kv_head;
    Floats<kChunkValues> first = {}, second = {};
    if (is_token) {
      const auto* const x = static_cast<const Bf16*>(a.heads.data) + token * a.heads.row_stride +
                            head * a.heads.head_stride + chunk * kChunkValues;
      first = load<kChunkValues>(x);
      second = load<kChunkValues>(x + kHalf);
    }
    if constexpr (kHasNorm) {
      Floats<kChunkValues> normed_first = first, normed_second = second;
      normalize<kSteps>(normed_first, normed_second,
                        static_cast<const Bf16*>(is_query ? a.q_norm : a.k_norm), chunk,
                        a.norm_eps);
      if (!is_value) first = normed_first, second = normed_second;
    }
    if (is_token && !is_value) {
      const int64_t angle = token * kHalf + chunk * kChunkValues;
      rotate(first, second, load<kChunkValues>(a.cos + angle), load<kChunkValues>(a.sin + angle),
             1.0F);
    }
    if (item >= num_items) continue;
    if (!is_query && place.keys != nullptr) {
      std::byte* const side = is_value ? place.values : place.keys;
      store(reinterpret_cast<Bf16*>(side + place.offset(row, chunk)), first);
      store(reinterpret_cast<Bf16*>(side + place.offset(row, chunk + kSteps)), second);
    } else if (is_query && is_token) {
      Bf16* const q = static_cast<Bf16*>(a.q) + (token * a.num_heads + query_head) * 2 * kHalf +
                      chunk * kChunkValues;
      store(q, first);
      store(q + kHalf, second);
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

cudaError_t prepare_and_write_pages(const PrepareArguments& arguments, cudaStream_t stream) {
  if (arguments.to.num_runs == 0) return cudaSuccess;
  const bool has_norm = arguments.q_norm != nullptr;
  const auto of_64 =
      has_norm ? prepare_and_write_kernel<4, true> : prepare_and_write_kernel<4, false>;
  const auto of_128 =
      has_norm ? prepare_and_write_kernel<8, true> : prepare_and_write_kernel<8, false>;
  const auto kernel = arguments.to.head_size == 64 ? of_64 : of_128;
  kernel<<<grid_of(arguments.to), kWriteThreads, 0, stream>>>(arguments);
  return cudaGetLastError();
}

}  // namespace longgen::cuda
