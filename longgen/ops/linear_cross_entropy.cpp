#include "longgen/ops/linear_cross_entropy.h"

#include <ATen/ops/zeros.h>

#include "longgen/ops/gradients.h"
#include "longgen/ops/linear_loss.h"
#include "longgen/ops/tensors.h"

namespace longgen {
namespace {

/// losses (T) fp64 of a chunk of logits, which become the gradients where asked for.
void chunk_cross_entropy_plain(const at::Tensor& logits_TV, const at::Tensor& targets_T,
                               const at::Tensor& losses_T, bool make_gradient) {
  const at::Tensor x = logits_TV.to(compute_type(logits_TV));
  const at::Tensor lse = x.logsumexp(1, /*keepdim=*/true);
  const at::Tensor none = targets_T.lt(0).unsqueeze(1);
  const at::Tensor target = targets_T.clamp_min(0).unsqueeze(1);
  losses_T.copy_(lse.sub(x.gather(1, target)).masked_fill(none, 0).squeeze(1));
  if (!make_gradient) return;
  at::Tensor p = x.sub(lse).exp();
  p.scatter_add_(1, target, at::zeros(target.sizes(), p.options()).sub(1));
  logits_TV.copy_(p.masked_fill_(none, 0));
}

}  // namespace

int64_t default_loss_chunk_rows(at::Device device) { return device.is_cuda() ? 4096 : 512; }

void chunk_cross_entropy(const at::Tensor& logits_TV, const at::Tensor& targets_T,
                         const at::Tensor& losses_T, bool make_gradient) {
  if (!has_row_kernels(logits_TV)) {
    return chunk_cross_entropy_plain(logits_TV, targets_T, losses_T, make_gradient);
  }
  if (logits_TV.is_cuda()) {
    return gpu::ops().cross_entropy(logits_TV, targets_T, losses_T, make_gradient);
  }
  const int64_t num_classes = logits_TV.size(1);
  const cpu::CrossEntropy job = {is_bf16(logits_TV),          num_classes,
                                 logits_TV.data_ptr(),        targets_T.const_data_ptr<int64_t>(),
                                 losses_T.data_ptr<double>(), make_gradient};
  parallel_rows(
      logits_TV.size(0), std::max<int64_t>(1, num_classes),
      [&job](int64_t begin, int64_t end) { cpu::row_kernels().cross_entropy(job, begin, end); });
}

at::Tensor linear_cross_entropy(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                                const at::Tensor& targets_T, int64_t chunk_rows,
                                const at::Tensor& row_weights_T) {
  const LinearLoss loss = {
      .targets_T = targets_T, .row_weights_T = row_weights_T, .chunk_rows = chunk_rows};
  check_linear_loss("linear_cross_entropy", hidden_TE, weight_VE, loss);
  if (needs_gradient(hidden_TE, weight_VE)) {
    return differentiable_linear_loss(hidden_TE, weight_VE, loss).loss;
  }
  return linear_loss_forward(hidden_TE, weight_VE, loss, false, false).loss;
}

at::Tensor target_logprobs(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                           const at::Tensor& targets_in, int64_t chunk_rows) {
  check_linear_loss("linear_cross_entropy", hidden_TE, weight_VE,
                    {.targets_T = targets_in, .row_weights_T = {}, .chunk_rows = chunk_rows});
  const at::NoGradGuard no_grad;
  const at::Tensor targets_T = targets_in.contiguous();
  const at::Tensor losses_T = empty_losses(hidden_TE);
  const std::vector<RowChunk> chunks = chunks_of(hidden_TE, chunk_rows);
  ChunkLogits logits(hidden_TE, weight_VE, chunks);
  for (const RowChunk& chunk : chunks) {
    chunk_cross_entropy(logits.of(chunk), chunk.of(targets_T), chunk.of(losses_T),
                        /*make_gradient=*/false);
  }
  if (losses_T.is_cuda()) sum_losses(losses_T, targets_T, weight_VE.size(0));  // checks targets
  return losses_T.neg().add(0.0).to(compute_type(hidden_TE));  // + 0: no "-0" for no target
}

}  // namespace longgen
