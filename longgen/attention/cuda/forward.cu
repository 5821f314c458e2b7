// The forward pass with keys and values in tensors.
#include "longgen/attention/cuda/forward.h"
#include "longgen/attention/cuda/forward_tiles.cuh"
#include "longgen/attention/cuda/tensor_map.h"

namespace longgen::cuda {
namespace {

struct Arguments : ForwardArguments {
  CUtensorMap k_map, v_map;
};

template <int kHeadSize>
__global__ void __launch_bounds__(kThreads, 1) forward_kernel(const __grid_constant__ Arguments a) {
  if (threadIdx.x == 0) {
    prefetch_map(&a.k_map);
    prefetch_map(&a.v_map);
  }
  run_forward<kHeadSize>(a, TensorSource(a.problem, &a.k_map, &a.v_map));
}

template <int kHeadSize>
cudaError_t launch(const AttendProblem& problem, void* out, float* lse, cudaStream_t stream) {
  QkvMaps maps;
  const cudaError_t error = make_tensor_maps(problem, maps);
  if (error != cudaSuccess) return error;
  const Arguments a = {{problem, maps.q, static_cast<__nv_bfloat16*>(out), lse}, maps.k, maps.v};
  return launch_persistent<ForwardShared<kHeadSize>>(
      forward_kernel<kHeadSize>, a, problem.num_tiles * problem.num_heads, kThreads, stream);
}

}  // namespace

cudaError_t attend_forward(const AttendProblem& problem, void* out, float* lse,
                           cudaStream_t stream) {
  return problem.head_size == 64 ? launch<64>(problem, out, lse, stream)
                                 : launch<128>(problem, out, lse, stream);
}

}  // namespace longgen::cuda
