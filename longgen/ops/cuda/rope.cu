// Rotary position embedding: a thread rotates (or copies) one step of a head's first half with the
// same step of its second half.
#include "longgen/ops/cuda/rotate.cuh"
#include "longgen/ops/cuda/row_kernels.h"

namespace longgen::cuda {
namespace {

template <typename T, int kCount>
__global__ void __launch_bounds__(kThreads)
    rope_kernel(const __grid_constant__ Rope job, int64_t num_items) {
  const int64_t item = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  if (item >= num_items) return;
  const int steps = job.half / kCount;
  const int per_token = (job.heads[0].count + job.heads[1].count + job.heads[2].count) * steps;
  const int64_t token = quotient(item, per_token);
  const int rest = static_cast<int>(item - token * per_token);
  int head = rest / steps;
  const int i = rest % steps * kCount;
  Heads heads = job.heads[0];
  if (head >= heads.count) {
    head -= heads.count;
    heads = job.heads[1];
    if (head >= heads.count) {
      head -= heads.count;
      heads = job.heads[2];
    }
  }
  const T* x = static_cast<const T*>(heads.x) + token * heads.x_token + head * heads.x_head + i;
  T* out = static_cast<T*>(heads.out) + token * heads.out_token + head * heads.out_head + i;
  Floats<kCount> first = load<kCount>(x), second = load<kCount>(x + job.half);
  if (heads.rotate) {
    rotate(first, second, load<kCount>(job.cos + token * job.half + i),
           load<kCount>(job.sin + token * job.half + i), job.direction);
  }
  store(out, first);
  store(out + job.half, second);
}

__global__ void __launch_bounds__(kThreads)
    rope_table_kernel(const __grid_constant__ RopeTable job) {
  const int64_t item = blockIdx.x * int64_t{kThreads} + threadIdx.x;
  const int64_t token = quotient(item, job.half);
  if (token >= job.num_tokens) return;
  const double angle =
      static_cast<double>(job.positions[token]) * job.frequencies[item - token * job.half];
  double sine, cosine;
  sincos(angle, &sine, &cosine);
  job.cos[item] = static_cast<float>(job.factor * cosine);
  job.sin[item] = static_cast<float>(job.factor * sine);
}

bool is_wide(const Rope& job) {
  bool wide = fits_wide(job.is_bf16, {job.cos, job.sin}, {job.half});
  for (const Heads& heads : job.heads) {
    wide = wide && fits_wide(job.is_bf16, {heads.x, heads.out},
                             {heads.x_token, heads.x_head, heads.out_token, heads.out_head});
  }
  return wide;
}

}  // namespace

void rope(const Rope& job, cudaStream_t stream) {
  const int64_t num_heads = int64_t{job.heads[0].count} + job.heads[1].count + job.heads[2].count;
  const int64_t num_pairs = job.num_tokens * num_heads * job.half;
  if (num_pairs == 0) return;
  with_step(job.is_bf16, is_wide(job), [&](auto step) {
    using S = decltype(step);
    const int64_t num_items = num_pairs / S::kCount;
    rope_kernel<typename S::Type, S::kCount>
        <<<num_blocks(num_items, kThreads), kThreads, 0, stream>>>(job, num_items);
  });
}

void rope_table(const RopeTable& job, cudaStream_t stream) {
  const int64_t num_items = job.num_tokens * job.half;
  if (num_items > 0) {
    rope_table_kernel<<<num_blocks(num_items, kThreads), kThreads, 0, stream>>>(job);
  }
}

}  // namespace longgen::cuda
