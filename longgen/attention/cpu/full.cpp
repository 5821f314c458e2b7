#include "longgen/attention/cpu/full.h"

#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu.h>
#include <ATen/ops/_scaled_dot_product_flash_attention_for_cpu_backward.h>
#include <ATen/ops/empty_like.h>

namespace longgen::cpu {
namespace {

/// Rows of one sequence of (T, H, D), as (K, H / K, T, D).
at::Tensor by_group(const at::Tensor& x_THD, const Sequence& sequence, int64_t num_kv_heads) {
  const at::Tensor rows = x_THD.narrow(0, sequence.first_row, sequence.num_rows);
  return rows.view({rows.size(0), num_kv_heads, rows.size(1) / num_kv_heads, rows.size(2)})
      .permute({1, 2, 0, 3});
}

at::Tensor expanded(const at::Tensor& k_SKD, const Sequence& sequence, int64_t group) {
  return by_group(k_SKD, sequence, k_SKD.size(1)).expand({-1, group, -1, -1});
}

at::Tensor lse_rows(const at::Tensor& lse_HT, const Sequence& sequence, int64_t num_kv_heads) {
  return lse_HT.narrow(1, sequence.first_row, sequence.num_rows)
      .unflatten(0, {num_kv_heads, lse_HT.size(0) / num_kv_heads});
}

}  // namespace

void full_forward(const at::Tensor& q_THD, const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                  const std::vector<Sequence>& sequences, double scale, const at::Tensor& out_THD,
                  const at::Tensor& lse_HT) {
  const int64_t heads = k_SKD.size(1), group = q_THD.size(1) / heads;
  for (const Sequence& sequence : sequences) {
    if (sequence.num_rows == 0) continue;
    const auto [out, lse] = at::_scaled_dot_product_flash_attention_for_cpu(
        by_group(q_THD, sequence, heads), expanded(k_SKD, sequence, group),
        expanded(v_SKD, sequence, group),
        /*dropout_p=*/0.0, /*is_causal=*/true, /*attn_mask=*/{}, scale);
    by_group(out_THD, sequence, heads).copy_(out);
    lse_rows(lse_HT, sequence, heads).copy_(lse);
  }
}

AttentionGradients full_backward(const at::Tensor& grad_THD, const at::Tensor& q_THD,
                                 const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                                 const at::Tensor& out_THD, const at::Tensor& lse_HT,
                                 const std::vector<Sequence>& sequences, double scale) {
  const int64_t heads = k_SKD.size(1), group = q_THD.size(1) / heads;
  AttentionGradients grads = {at::empty_like(q_THD, at::MemoryFormat::Contiguous),
                              at::empty_like(k_SKD, at::MemoryFormat::Contiguous),
                              at::empty_like(v_SKD, at::MemoryFormat::Contiguous)};
  for (const Sequence& sequence : sequences) {
    if (sequence.num_rows == 0) continue;
    const auto [grad_q, grad_k, grad_v] = at::_scaled_dot_product_flash_attention_for_cpu_backward(
        by_group(grad_THD, sequence, heads), by_group(q_THD, sequence, heads),
        expanded(k_SKD, sequence, group), expanded(v_SKD, sequence, group),
        by_group(out_THD, sequence, heads), lse_rows(lse_HT, sequence, heads),
        /*dropout_p=*/0.0, /*is_causal=*/true, /*attn_mask=*/{}, scale);
    by_group(grads.q_THD, sequence, heads).copy_(grad_q);
    // The query heads of a group share their keys: their gradients add up, in fp32.
    by_group(grads.k_SKD, sequence, heads).copy_(grad_k.sum(1, /*keepdim=*/true, at::kFloat));
    by_group(grads.v_SKD, sequence, heads).copy_(grad_v.sum(1, /*keepdim=*/true, at::kFloat));
  }
  return grads;
}

}  // namespace longgen::cpu
