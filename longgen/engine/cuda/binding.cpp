#include "longgen/engine/cuda/binding.h"

#include <ATen/ops/empty.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "longgen/base/check.h"
#include "longgen/engine/cuda/draw.h"

namespace longgen {
namespace {

void check_launch() {
  const cudaError_t error = cudaGetLastError();
  LG_CHECK(error == cudaSuccess, "[sample] CUDA: ", cudaGetErrorString(error), ".");
}

template <typename T>
T* data(const at::Tensor& bytes) {
  return reinterpret_cast<T*>(bytes.data_ptr<uint8_t>());
}

void draw(const at::Tensor& logits_NV, int64_t num_classes, int64_t num_changed,
          const gpu::DrawBuffers& buffers) {
  const c10::cuda::CUDAGuard guard(logits_NV.device());
  const at::Tensor changed_CV = at::empty({num_changed, num_classes}, logits_NV.options());
  const DrawJob job = {logits_NV.const_data_ptr<float>(),
                       logits_NV.size(1),
                       num_classes,
                       data<DrawRow>(buffers.rows),
                       changed_CV.data_ptr<float>(),
                       buffers.drawn_S.data_ptr<int64_t>(),
                       data<DrawnToken>(buffers.tokens),
                       data<DrawnLogprobs>(buffers.logprobs)};
  cuda::draw_tokens(job, logits_NV.size(0), c10::cuda::getCurrentCUDAStream());
  check_launch();
}

void put_drawn(const at::Tensor& tokens_T, const at::Tensor& drawn_S) {
  const c10::cuda::CUDAGuard guard(tokens_T.device());
  cuda::put_drawn_tokens(tokens_T.data_ptr<int64_t>(), tokens_T.numel(),
                         drawn_S.data_ptr<int64_t>(), c10::cuda::getCurrentCUDAStream());
  check_launch();
}

}  // namespace

namespace cuda {

const gpu::Draws& draws() {
  static const gpu::Draws all = {.draw = draw, .put_drawn = put_drawn};
  return all;
}

}  // namespace cuda
}  // namespace longgen
