#include "longgen/ops/glu.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/silu.h>

#include "longgen/base/check.h"
#include "longgen/ops/gradients.h"
#include "longgen/ops/tensors.h"

namespace longgen {
namespace {

at::Tensor glu_plain(const at::Tensor& gate_up_TC, Activation activation) {
  const int64_t width = gate_up_TC.size(1) / 2;
  const at::Tensor wide = gate_up_TC.to(compute_type(gate_up_TC));
  const at::Tensor gate = wide.narrow(1, 0, width);
  return (activation == Activation::kSilu ? at::silu(gate) : at::gelu(gate, "tanh"))
      .mul(wide.narrow(1, width, width))
      .to(gate_up_TC.scalar_type());
}

void check_on_gpu(Activation activation) {
  LG_CHECK(activation == Activation::kSilu, "[glu] on a GPU the activation must be ",
           activation_names(Activation::kSilu).front(), ", found ",
           activation_names(activation).front(), ".");
}

}  // namespace

at::Tensor glu_forward(const at::Tensor& gate_up_in, Activation activation) {
  if (gate_up_in.is_cuda()) {
    check_on_gpu(activation);
    return gpu::ops().swiglu(gate_up_in);
  }
  const at::Tensor gate_up_TC = with_contiguous_rows(gate_up_in);
  const int64_t num_rows = gate_up_TC.size(0), width = gate_up_TC.size(1) / 2;
  const at::Tensor out = at::empty({num_rows, width}, gate_up_TC.options());
  if (out.numel() == 0) return out;
  const cpu::Glu job = {is_bf16(gate_up_TC), width, gate_up_TC.const_data_ptr(),
                        gate_up_TC.stride(0), out.data_ptr()};
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const auto kernel = activation == Activation::kSilu ? kernels.swiglu : kernels.geglu;
  parallel_rows(num_rows, width, [&](int64_t begin, int64_t end) { kernel(job, begin, end); });
  return out;
}

at::Tensor glu_backward(const at::Tensor& grad_in, const at::Tensor& gate_up_in,
                        Activation activation) {
  if (gate_up_in.is_cuda()) {
    check_on_gpu(activation);
    return gpu::ops().swiglu_backward(grad_in, gate_up_in);
  }
  const at::Tensor gate_up_TC = with_contiguous_rows(gate_up_in);
  const at::Tensor grad_TF = with_contiguous_rows(grad_in);
  const int64_t num_rows = gate_up_TC.size(0), width = gate_up_TC.size(1) / 2;
  const at::Tensor out = at::empty({num_rows, 2 * width}, gate_up_TC.options());
  if (out.numel() == 0) return out;
  const cpu::GluBackward job = {is_bf16(gate_up_TC),
                                width,
                                gate_up_TC.const_data_ptr(),
                                gate_up_TC.stride(0),
                                grad_TF.const_data_ptr(),
                                grad_TF.stride(0),
                                out.data_ptr()};
  const cpu::RowKernels& kernels = cpu::row_kernels();
  const auto kernel =
      activation == Activation::kSilu ? kernels.swiglu_backward : kernels.geglu_backward;
  parallel_rows(num_rows, 2 * width, [&](int64_t begin, int64_t end) { kernel(job, begin, end); });
  return out;
}

at::Tensor glu(const at::Tensor& gate_up_TC, Activation activation) {
  LG_CHECK(is_supported_dtype(gate_up_TC), "[glu] dtype must be float32, bfloat16 or float64.\n  ",
           describe("gate_up", gate_up_TC));
  LG_CHECK(gate_up_TC.dim() == 2 && gate_up_TC.size(1) % 2 == 0,
           "[glu] gate_up must be (tokens, 2 * width): gate, then up.\n  ",
           describe("gate_up", gate_up_TC));
  if (!has_row_kernels(gate_up_TC)) return glu_plain(gate_up_TC, activation);
  if (needs_gradient(gate_up_TC)) return differentiable_glu(gate_up_TC, activation);
  return glu_forward(gate_up_TC, activation);
}

}  // namespace longgen
