#include "longgen/ops/swiglu.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/silu.h>

#include "longgen/base/check.h"
#include "longgen/ops/gradients.h"
#include "longgen/ops/tensors.h"

namespace longgen {
namespace {

at::Tensor swiglu_plain(const at::Tensor& gate_up_TC) {
  const int64_t width = gate_up_TC.size(1) / 2;
  const at::Tensor wide = gate_up_TC.to(compute_type(gate_up_TC));
  return at::silu(wide.narrow(1, 0, width))
      .mul(wide.narrow(1, width, width))
      .to(gate_up_TC.scalar_type());
}

}  // namespace

at::Tensor swiglu_forward(const at::Tensor& gate_up_in) {
  if (gate_up_in.is_cuda()) return gpu::ops().swiglu(gate_up_in);
  const at::Tensor gate_up_TC = with_contiguous_rows(gate_up_in);
  const int64_t num_rows = gate_up_TC.size(0), width = gate_up_TC.size(1) / 2;
  const at::Tensor out = at::empty({num_rows, width}, gate_up_TC.options());
  if (out.numel() == 0) return out;
  const cpu::SwiGlu job = {is_bf16(gate_up_TC), width, gate_up_TC.const_data_ptr(),
                           gate_up_TC.stride(0), out.data_ptr()};
  parallel_rows(num_rows, width,
                [&job](int64_t begin, int64_t end) { cpu::row_kernels().swiglu(job, begin, end); });
  return out;
}

at::Tensor swiglu_backward(const at::Tensor& grad_in, const at::Tensor& gate_up_in) {
  if (gate_up_in.is_cuda()) return gpu::ops().swiglu_backward(grad_in, gate_up_in);
  const at::Tensor gate_up_TC = with_contiguous_rows(gate_up_in);
  const at::Tensor grad_TF = with_contiguous_rows(grad_in);
  const int64_t num_rows = gate_up_TC.size(0), width = gate_up_TC.size(1) / 2;
  const at::Tensor out = at::empty({num_rows, 2 * width}, gate_up_TC.options());
  if (out.numel() == 0) return out;
  const cpu::SwiGluBackward job = {is_bf16(gate_up_TC),
                                   width,
                                   gate_up_TC.const_data_ptr(),
                                   gate_up_TC.stride(0),
                                   grad_TF.const_data_ptr(),
                                   grad_TF.stride(0),
                                   out.data_ptr()};
  parallel_rows(num_rows, 2 * width, [&job](int64_t begin, int64_t end) {
    cpu::row_kernels().swiglu_backward(job, begin, end);
  });
  return out;
}

at::Tensor swiglu(const at::Tensor& gate_up_TC) {
  LG_CHECK(is_supported_dtype(gate_up_TC),
           "[swiglu] dtype must be float32, bfloat16 or float64.\n  ",
           describe("gate_up", gate_up_TC));
  LG_CHECK(gate_up_TC.dim() == 2 && gate_up_TC.size(1) % 2 == 0,
           "[swiglu] gate_up must be (tokens, 2 * width): gate, then up.\n  ",
           describe("gate_up", gate_up_TC));
  if (!has_row_kernels(gate_up_TC)) return swiglu_plain(gate_up_TC);
  if (needs_gradient(gate_up_TC)) return differentiable_swiglu(gate_up_TC);
  return swiglu_forward(gate_up_TC);
}

}  // namespace longgen
