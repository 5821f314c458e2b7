#include "longgen/ops/rope.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>

#include <cmath>

#include "longgen/base/check.h"
#include "longgen/ops/gradients.h"
#include "longgen/ops/tensors.h"

namespace longgen {
namespace {

void check(const at::Tensor& x_THD, const RopeTable& table) {
  const auto inputs = [&] {
    return "\n  " + describe("x", x_THD) + " | " + describe("cos", table.cos_TR) + " | " +
           describe("sin", table.sin_TR);
  };
  LG_CHECK(is_supported_dtype(x_THD), "[rope] dtype must be float32, bfloat16 or float64.",
           inputs());
  LG_CHECK(x_THD.dim() == 3 && x_THD.size(2) % 2 == 0,
           "[rope] x must be (tokens, heads, head size) with an even head size.", inputs());
  LG_CHECK(table.cos_TR.dim() == 2 && table.cos_TR.size(0) == x_THD.size(0) &&
               table.cos_TR.size(1) == x_THD.size(2) / 2 &&
               table.sin_TR.sizes() == table.cos_TR.sizes(),
           "[rope] cos and sin must be (tokens, head size / 2) of x.", inputs());
  LG_CHECK(table.cos_TR.scalar_type() == at::kFloat && table.sin_TR.scalar_type() == at::kFloat &&
               table.cos_TR.device() == x_THD.device() && table.sin_TR.device() == x_THD.device(),
           "[rope] cos and sin must be float32 on the device of x; make_rope_table() makes them.",
           inputs());
}

at::Tensor rope_plain(const at::Tensor& x_THD, const RopeTable& table) {
  const at::Tensor x = x_THD.to(compute_type(x_THD));
  const at::Tensor cos = table.cos_TR.unsqueeze(1), sin = table.sin_TR.unsqueeze(1);
  const int64_t half = x.size(2) / 2;
  const at::Tensor first = x.narrow(2, 0, half), second = x.narrow(2, half, half);
  return at::cat({first.mul(cos).sub(second.mul(sin)), second.mul(cos).add(first.mul(sin))}, 2)
      .to(x_THD.scalar_type());
}

}  // namespace

RopeTable make_rope_table(const at::Tensor& positions_T, const std::vector<double>& frequencies,
                          double factor) {
  const bool on_gpu = positions_T.is_cuda() && gpu::has_kernels();
  LG_CHECK(positions_T.dim() == 1 && positions_T.scalar_type() == at::kLong &&
               (positions_T.is_cpu() || on_gpu),
           "[rope] positions must be an int64 vector on the CPU, found ",
           describe("positions", positions_T), ".");
  if (on_gpu) {
    const auto [cos, sin] = gpu::ops().rope_table(positions_T, frequencies, factor);
    return {cos, sin};
  }
  const at::Tensor positions = positions_T.contiguous();
  const int64_t num_tokens = positions.size(0);
  const auto half = static_cast<int64_t>(frequencies.size());
  const RopeTable table = {at::empty({num_tokens, half}, at::kFloat),
                           at::empty({num_tokens, half}, at::kFloat)};
  const int64_t* position = positions.const_data_ptr<int64_t>();
  float* cos = table.cos_TR.data_ptr<float>();
  float* sin = table.sin_TR.data_ptr<float>();
  // A cosine and a sine in double cost about as much as 32 elements of the other ops.
  parallel_rows(num_tokens, std::max<int64_t>(1, 32 * half), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t i = 0; i < half; ++i) {
        const double angle = static_cast<double>(position[t]) * frequencies[i];
        cos[t * half + i] = static_cast<float>(factor * std::cos(angle));
        sin[t * half + i] = static_cast<float>(factor * std::sin(angle));
      }
    }
  });
  return table;
}

at::Tensor rotate(const at::Tensor& x_in, const RopeTable& table, Rotation rotation) {
  if (x_in.is_cuda()) {
    return gpu::ops().rope(x_in, table.cos_TR, table.sin_TR, rotation == Rotation::forward);
  }
  const at::Tensor x_THD = with_contiguous_rows(x_in);
  const at::Tensor cos = table.cos_TR.contiguous(), sin = table.sin_TR.contiguous();
  const at::Tensor out = at::empty(x_THD.sizes(), x_THD.options());
  const int64_t num_heads = x_THD.size(1), head_size = x_THD.size(2);
  const cpu::Rope job = {is_bf16(x_THD),
                         num_heads,
                         head_size / 2,
                         x_THD.const_data_ptr(),
                         x_THD.stride(0),
                         x_THD.stride(1),
                         cos.const_data_ptr<float>(),
                         sin.const_data_ptr<float>(),
                         rotation == Rotation::forward ? 1.0F : -1.0F,
                         out.data_ptr()};
  if (out.numel() == 0) return out;
  parallel_rows(x_THD.size(0), num_heads * head_size,
                [&job](int64_t begin, int64_t end) { cpu::row_kernels().rope(job, begin, end); });
  return out;
}

at::Tensor rope(const at::Tensor& x_THD, const RopeTable& table) {
  check(x_THD, table);
  if (!has_row_kernels(x_THD)) return rope_plain(x_THD, table);
  if (needs_gradient(x_THD)) return differentiable_rope(x_THD, table);
  return rotate(x_THD, table, Rotation::forward);
}

RotatedHeads split_rotated_forward(const at::Tensor& heads_TAD, int64_t num_heads,
                                   const RopeTable& table) {
  const auto [q, k] = gpu::ops().rope_qkv(heads_TAD, num_heads, table.cos_TR, table.sin_TR);
  return {q, k, heads_TAD.narrow(1, num_heads + k.size(1), k.size(1))};
}

at::Tensor split_rotated_backward(const RotatedHeads& grads, const RopeTable& table) {
  return gpu::ops().rope_qkv_backward(grads.q_THD, grads.k_TKD, grads.v_TKD, table.cos_TR,
                                      table.sin_TR);
}

RotatedHeads split_rotated(const at::Tensor& heads_TAD, int64_t num_heads, const RopeTable& table) {
  check(heads_TAD, table);
  const int64_t num_kv_heads = (heads_TAD.size(1) - num_heads) / 2;
  LG_CHECK(num_heads >= 0 && num_heads + 2 * num_kv_heads == heads_TAD.size(1),
           "[rope] the heads are ", num_heads, " of q and an even number of k and v.\n  ",
           describe("heads", heads_TAD));
  if (!heads_TAD.is_cuda() || !has_row_kernels(heads_TAD)) {
    const auto parts = heads_TAD.split_with_sizes({num_heads, num_kv_heads, num_kv_heads}, 1);
    return {rope(parts[0], table), rope(parts[1], table), parts[2]};
  }
  if (needs_gradient(heads_TAD)) return differentiable_split_rotated(heads_TAD, num_heads, table);
  return split_rotated_forward(heads_TAD, num_heads, table);
}

}  // namespace longgen
