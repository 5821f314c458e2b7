#include "longgen/ops/linear_distillation.h"

#include <ATen/ops/full.h>
#include <ATen/ops/log_softmax.h>

#include "longgen/base/check.h"
#include "longgen/ops/gradients.h"
#include "longgen/ops/linear_loss.h"
#include "longgen/ops/tensors.h"

namespace longgen {
namespace {

void chunk_distillation_plain(const at::Tensor& logits_TV, const at::Tensor& teacher_TV,
                              double share, const at::Tensor& targets_T, const at::Tensor& losses_T,
                              const at::Tensor& divergences_T, bool make_gradient) {
  const at::Tensor log_p = at::log_softmax(logits_TV.to(compute_type(logits_TV)), 1);
  const at::Tensor log_q = at::log_softmax(teacher_TV.to(compute_type(logits_TV)), 1);
  const at::Tensor q = log_q.exp();
  const at::Tensor none = targets_T.lt(0).unsqueeze(1);
  const at::Tensor target = targets_T.clamp_min(0).unsqueeze(1);
  losses_T.copy_(log_p.gather(1, target).neg().masked_fill(none, 0).squeeze(1));
  divergences_T.copy_(
      q.mul(log_q.sub(log_p)).sum(1, /*keepdim=*/true).masked_fill(none, 0).squeeze(1));
  if (!make_gradient) return;
  at::Tensor grad = log_p.exp().sub_(q, share);
  grad.scatter_add_(1, target, at::full(target.sizes(), share - 1, grad.options()));
  logits_TV.copy_(grad.masked_fill_(none, 0));
}

}  // namespace

void chunk_distillation(const at::Tensor& logits_TV, const at::Tensor& teacher_TV, double share,
                        const at::Tensor& targets_T, const at::Tensor& losses_T,
                        const at::Tensor& divergences_T, bool make_gradient) {
  if (!has_row_kernels(logits_TV)) {
    return chunk_distillation_plain(logits_TV, teacher_TV, share, targets_T, losses_T,
                                    divergences_T, make_gradient);
  }
  if (logits_TV.is_cuda()) {
    return gpu::ops().distillation(logits_TV, teacher_TV, share, targets_T, losses_T, divergences_T,
                                   make_gradient);
  }
  const int64_t num_classes = logits_TV.size(1);
  const cpu::Distillation job = {.is_bf16 = is_bf16(logits_TV),
                                 .num_classes = num_classes,
                                 .logits = logits_TV.data_ptr(),
                                 .teacher_logits = teacher_TV.const_data_ptr(),
                                 .targets = targets_T.const_data_ptr<int64_t>(),
                                 .share = static_cast<float>(share),
                                 .losses = losses_T.data_ptr<double>(),
                                 .divergences = divergences_T.data_ptr<double>(),
                                 .make_gradient = make_gradient};
  parallel_rows(
      logits_TV.size(0), std::max<int64_t>(1, num_classes),
      [&job](int64_t begin, int64_t end) { cpu::row_kernels().distillation(job, begin, end); });
}

DistillationLoss linear_distillation(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                                     const at::Tensor& targets_T,
                                     const DistillationTeacher& teacher, double share,
                                     int64_t chunk_rows, const at::Tensor& row_weights_T) {
  const LinearLoss loss = {targets_T, row_weights_T, teacher, share, chunk_rows};
  LG_CHECK(share >= 0 && share <= 1, "[linear_distillation] share must be within 0 to 1, found ",
           share, ".");
  LG_CHECK(teacher.hidden_TE.defined() && teacher.weight_VE.defined(),
           "[linear_distillation] expected a teacher, found undefined tensors.");
  check_linear_loss("linear_distillation", hidden_TE, weight_VE, loss);
  if (needs_gradient(hidden_TE, weight_VE)) {
    return differentiable_linear_loss(hidden_TE, weight_VE, loss);
  }
  const LinearLossResult result = linear_loss_forward(hidden_TE, weight_VE, loss, false, false);
  return {result.loss, result.cross_entropy, result.divergence};
}

}  // namespace longgen
