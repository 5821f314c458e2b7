#include "longgen/bench/full_attention.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/scaled_dot_product_attention.h>
#include <torch/csrc/autograd/autograd.h>

#include "longgen/base/check.h"
#include "longgen/bench/attention_check.h"

namespace longgen {
namespace {

at::Tensor heads_first(const at::Tensor& x_THD) {
  return x_THD.detach().transpose(0, 1).unsqueeze(0);
}

at::Tensor aten_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v) {
  return at::scaled_dot_product_attention(q, k, v, {}, 0.0, /*is_causal=*/true);
}

}  // namespace

FullAttention::FullAttention(const AttentionInputs& inputs) : inputs_(inputs) {
  if (inputs.shape.device.is_cuda()) {
    attended_ = attend_forward(inputs, Pattern());
  } else {
    make_aten_graph();
    attended_.out_THD = out_HTD_.detach().squeeze(0).transpose(0, 1);
  }
  const double error = output_error(inputs, Pattern(), attended_);
  LG_CHECK(error <= output_tolerance(inputs.shape.dtype), "[bench attention] ", name(),
           "'s attention over every key differs from plain sums in fp64 by ", error,
           " of a row's size.");
}

void FullAttention::make_aten_graph() {
  const int64_t group = inputs_.shape.num_heads / inputs_.shape.num_kv_heads;
  q_HTD_ = heads_first(inputs_.q_THD).requires_grad_();
  k_HTD_ = heads_first(inputs_.k_TKD.repeat_interleave(group, 1)).requires_grad_();
  v_HTD_ = heads_first(inputs_.v_TKD.repeat_interleave(group, 1)).requires_grad_();
  grad_HTD_ = heads_first(inputs_.grad_THD);
  out_HTD_ = aten_attention(q_HTD_, k_HTD_, v_HTD_);
}

const char* FullAttention::name() const {
  return inputs_.shape.device.is_cuda() ? "cuDNN" : "ATen";
}

void FullAttention::forward() const {
  const at::NoGradGuard no_grad;
  if (inputs_.shape.device.is_cuda()) {
    attend_forward(inputs_, Pattern());
  } else {
    aten_attention(q_HTD_, k_HTD_, v_HTD_);
  }
}

void FullAttention::backward() const {
  if (inputs_.shape.device.is_cuda()) {
    attend_backward(inputs_, Pattern(), attended_);
  } else {
    torch::autograd::grad({out_HTD_}, {q_HTD_, k_HTD_, v_HTD_}, {grad_HTD_},
                          /*retain_graph=*/true);
  }
}

}  // namespace longgen
