// Attention of many query tokens to the pages of a KV cache: the kernel of the forward pass, whose
// stages are filled from pages. A page holds K and V of a block in the very layout of a stage.
#include "longgen/attention/cuda/forward_tiles.cuh"
#include "longgen/attention/cuda/tensor_map.h"
#include "longgen/kv_cache/cuda/kernels.h"
#include "longgen/kv_cache/cuda/page_format.h"

namespace longgen::cuda {
namespace {

static_assert(kPanelBytes == kBlockPanelBytes);

/// Finds keys and values in pages, as TensorSource does in tensors. The list of a sequence and KV
/// head is what KeyBlocks of all its new tokens would be, ascending (a test on the CPU holds it
/// against that): a block is found by arithmetic.
class PageSource {
 public:
  __device__ PageSource(const AttendProblem& problem, const PagedKeys& keys)
      : problem_(problem), keys_(keys) {}

  __device__ __forceinline__ SequenceRows rows_of(int sequence) const {
    const PassSequence s = keys_.sequences[sequence];
    // key_shift serves to tell the sequence to begin().
    return {s.first_position, s.first_position + s.num_rows, s.first_row - s.first_position,
            sequence, 0};
  }
  __device__ __forceinline__ void begin(const Work& work) {
    listed_ = KeyBlocks(problem_.pattern, work.rows.begin / kBlock, (work.rows.end - 1) / kBlock,
                        work.kv_head);
    const int pair = work.rows.key_shift * keys_.num_kv_heads + work.kv_head;
    last_ = keys_.row(pair) + (keys_.starts[pair + 1] - keys_.starts[pair]) - 1;
  }
  __device__ __forceinline__ int place_of(int block) const {
    return last_[-listed_.find(block)].page;
  }
  template <int kHeadSize>
  __device__ __forceinline__ void load_k(uint8_t* to, uint64_t* full, int page) const {
    load<kHeadSize>(to, full, keys_.memory + page * keys_.page_bytes);
  }
  template <int kHeadSize>
  __device__ __forceinline__ void load_v(uint8_t* to, uint64_t* full, int page) const {
    load<kHeadSize>(to, full, keys_.memory + page * keys_.page_bytes + side_bytes(kHeadSize));
  }

 private:
  template <int kHeadSize>
  __device__ __forceinline__ static void load(uint8_t* to, uint64_t* full, const std::byte* from) {
#pragma unroll
    for (int panel = 0; panel < TileBytes<kHeadSize>::kPanels; ++panel) {
      copy_bytes(to + panel * kKeyPanelBytes, from + panel * kPanelBytes, kPanelBytes, full);
    }
  }

  const AttendProblem& problem_;
  const PagedKeys& keys_;
  KeyBlocks listed_ = {};
  const PassBlock* last_ = nullptr;
};

struct Arguments : ForwardArguments {
  PagedKeys keys;
};

template <int kHeadSize>
__global__ void __launch_bounds__(kThreads, 1) prefill_kernel(const __grid_constant__ Arguments a) {
  run_forward<kHeadSize>(a, PageSource(a.problem, a.keys));
}

template <int kHeadSize>
cudaError_t launch(const AttendProblem& problem, const PagedKeys& keys, void* out,
                   cudaStream_t stream) {
  Arguments a = {{problem, {}, static_cast<__nv_bfloat16*>(out), nullptr}, keys};
  const cudaError_t error = make_tensor_map(problem.q, problem.num_rows, problem.num_heads,
                                            problem.head_size, kBlock, a.q_map);
  if (error != cudaSuccess) return error;
  return launch_persistent<ForwardShared<kHeadSize>>(
      prefill_kernel<kHeadSize>, a, problem.num_tiles * problem.num_heads, kThreads, stream);
}

}  // namespace

cudaError_t prefill(const AttendProblem& problem, const PagedKeys& keys, void* out,
                    cudaStream_t stream) {
  return problem.head_size == 64 ? launch<64>(problem, keys, out, stream)
                                 : launch<128>(problem, keys, out, stream);
}

}  // namespace longgen::cuda
