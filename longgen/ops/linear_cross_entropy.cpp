#include "longgen/ops/linear_cross_entropy.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include "longgen/base/check.h"
#include "longgen/ops/gradients.h"
#include "longgen/ops/tensors.h"

namespace longgen {
namespace {

[[noreturn]] void refuse_target(int64_t target, int64_t row, int64_t num_classes) {
  LG_FAIL("[linear_cross_entropy] target ", target, " of row ", row,
          " is not in the vocabulary of ", num_classes, " tokens. Rows without a target have ",
          kNoTarget, ".");
}

void check_targets(const at::Tensor& targets_T, int64_t num_classes) {
  const at::Tensor targets = targets_T.cpu().contiguous();
  const int64_t* target = targets.const_data_ptr<int64_t>();
  for (int64_t t = 0; t < targets.numel(); ++t) {
    const bool good = target[t] == kNoTarget || (target[t] >= 0 && target[t] < num_classes);
    if (!good) refuse_target(target[t], t, num_classes);
  }
}

/// On a GPU the targets are checked there, while the losses are summed.
bool checks_later(const at::Tensor& hidden_TE) {
  return hidden_TE.is_cuda() && has_row_kernels(hidden_TE);
}

void check(const at::Tensor& hidden_TE, const at::Tensor& weight_VE, const at::Tensor& targets_T,
           int64_t chunk_rows) {
  const auto inputs = [&] {
    return "\n  " + describe("hidden", hidden_TE) + " | " + describe("weight", weight_VE) + " | " +
           describe("targets", targets_T);
  };
  LG_CHECK(is_supported_dtype(hidden_TE),
           "[linear_cross_entropy] dtype must be float32, bfloat16 or float64.", inputs());
  LG_CHECK(weight_VE.scalar_type() == hidden_TE.scalar_type() &&
               weight_VE.device() == hidden_TE.device() && targets_T.device() == hidden_TE.device(),
           "[linear_cross_entropy] hidden and weight must have one dtype, and all one device.",
           inputs());
  LG_CHECK(hidden_TE.dim() == 2 && weight_VE.dim() == 2 && hidden_TE.size(1) == weight_VE.size(1),
           "[linear_cross_entropy] hidden must be (T, E) and weight (V, E).", inputs());
  LG_CHECK(targets_T.dim() == 1 && targets_T.scalar_type() == at::kLong &&
               targets_T.size(0) == hidden_TE.size(0),
           "[linear_cross_entropy] targets must be int64, one for each row of hidden.", inputs());
  LG_CHECK(chunk_rows >= 0,
           "[linear_cross_entropy] chunk_rows must be at least 1, or 0 for what suits the device, "
           "found ",
           chunk_rows, ".");
  if (!checks_later(hidden_TE)) check_targets(targets_T, weight_VE.size(0));
}

/// losses (T) fp64 of a chunk of logits, which become the gradients where asked for.
void chunk_losses_plain(const at::Tensor& logits_TV, const at::Tensor& targets_T,
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

void chunk_losses(const at::Tensor& logits_TV, const at::Tensor& targets_T,
                  const at::Tensor& losses_T, bool make_gradient) {
  if (!has_row_kernels(logits_TV)) {
    return chunk_losses_plain(logits_TV, targets_T, losses_T, make_gradient);
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

struct Chunk {
  int64_t first, count;
  at::Tensor of(const at::Tensor& x) const { return x.narrow(0, first, count); }
};

/// work(chunk, logits of the chunk); the logits of all chunks share one buffer. The chunks are of
/// equal length, one row more or less: ATen's products of very few rows are slower, less exact, and
/// do depend on the number of threads (fp32, MKL 2024.2 on Zen 4: 5 to 11 rows).
template <typename Work>
void for_chunks(const at::Tensor& hidden_TE, const at::Tensor& weight_VE, int64_t chunk_rows,
                const Work& work) {
  const int64_t num_rows = hidden_TE.size(0);
  if (num_rows == 0) return;
  if (chunk_rows == kChunkRowsOfDevice) chunk_rows = default_loss_chunk_rows(hidden_TE.device());
  const int64_t num_chunks = (num_rows - 1) / chunk_rows + 1;
  const int64_t least_rows = num_rows / num_chunks, num_longer = num_rows % num_chunks;
  const at::Tensor buffer =
      at::empty({least_rows + (num_longer > 0 ? 1 : 0), weight_VE.size(0)}, hidden_TE.options());
  Chunk chunk = {0, 0};
  for (int64_t i = 0; i < num_chunks; ++i) {
    chunk = {chunk.first + chunk.count, least_rows + (i < num_longer ? 1 : 0)};
    at::Tensor logits_TV = buffer.narrow(0, 0, chunk.count);
    at::mm_out(logits_TV, chunk.of(hidden_TE), weight_VE.t());
    work(chunk, logits_TV);
  }
}

/// fp64, so that the loss of a million rows keeps its digits.
at::Tensor empty_losses(const at::Tensor& hidden_TE) {
  return at::empty({hidden_TE.size(0)}, hidden_TE.options().dtype(at::kDouble));
}

/// Waits for the GPU; the check that check() left out.
at::Tensor sum_and_check_on_gpu(const at::Tensor& losses_T, const at::Tensor& targets_T,
                                int64_t num_classes) {
  const at::Tensor result = gpu::ops().sum_losses(losses_T, targets_T, num_classes);
  const auto bad_row = static_cast<int64_t>(result.cpu().const_data_ptr<double>()[1]);
  if (bad_row >= 0) {
    refuse_target(targets_T.select(0, bad_row).item<int64_t>(), bad_row, num_classes);
  }
  return result.select(0, 0);
}

/// One after the other: ATen's own sum may group them by thread.
at::Tensor sum_in_order(const at::Tensor& losses_T, const at::Tensor& targets_T,
                        int64_t num_classes) {
  if (losses_T.is_cuda() && gpu::has_kernels()) {
    return sum_and_check_on_gpu(losses_T, targets_T, num_classes);
  }
  const at::Tensor losses = losses_T.cpu();
  const double* loss = losses.const_data_ptr<double>();
  double sum = 0;
  for (int64_t t = 0; t < losses.numel(); ++t) sum += loss[t];
  return at::full({}, sum, losses_T.options());
}

}  // namespace

int64_t default_loss_chunk_rows(at::Device device) { return device.is_cuda() ? 4096 : 512; }

CrossEntropyResult linear_cross_entropy_forward(const at::Tensor& hidden_TE,
                                                const at::Tensor& weight_VE,
                                                const at::Tensor& targets_in, int64_t chunk_rows,
                                                bool need_hidden, bool need_weight) {
  const at::NoGradGuard no_grad;
  const at::Tensor targets_T = targets_in.contiguous();
  const at::Tensor losses_T = empty_losses(hidden_TE);
  CrossEntropyResult result;
  if (need_hidden) result.grad_hidden_TE = at::empty(hidden_TE.sizes(), hidden_TE.options());
  if (need_weight) {
    result.grad_weight_VE =
        at::zeros(weight_VE.sizes(), weight_VE.options().dtype(compute_type(weight_VE)));
  }
  for_chunks(hidden_TE, weight_VE, chunk_rows, [&](const Chunk& chunk, const at::Tensor& logits) {
    chunk_losses(logits, chunk.of(targets_T), chunk.of(losses_T), need_hidden || need_weight);
    if (need_hidden) {
      at::Tensor grad_TE = chunk.of(result.grad_hidden_TE);
      at::mm_out(grad_TE, logits, weight_VE);
    }
    if (need_weight) add_weight_gradient(logits, chunk.of(hidden_TE), result.grad_weight_VE);
  });
  result.loss = sum_in_order(losses_T, targets_T, weight_VE.size(0)).to(compute_type(hidden_TE));
  return result;
}

at::Tensor linear_cross_entropy(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                                const at::Tensor& targets_T, int64_t chunk_rows) {
  check(hidden_TE, weight_VE, targets_T, chunk_rows);
  if (needs_gradient(hidden_TE, weight_VE)) {
    return differentiable_linear_cross_entropy(hidden_TE, weight_VE, targets_T, chunk_rows);
  }
  return linear_cross_entropy_forward(hidden_TE, weight_VE, targets_T, chunk_rows, false, false)
      .loss;
}

at::Tensor target_logprobs(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                           const at::Tensor& targets_in, int64_t chunk_rows) {
  check(hidden_TE, weight_VE, targets_in, chunk_rows);
  const at::NoGradGuard no_grad;
  const at::Tensor targets_T = targets_in.contiguous();
  const at::Tensor losses_T = empty_losses(hidden_TE);
  for_chunks(hidden_TE, weight_VE, chunk_rows, [&](const Chunk& chunk, const at::Tensor& logits) {
    chunk_losses(logits, chunk.of(targets_T), chunk.of(losses_T), /*make_gradient=*/false);
  });
  if (checks_later(hidden_TE)) sum_and_check_on_gpu(losses_T, targets_T, weight_VE.size(0));
  return losses_T.neg().add(0.0).to(compute_type(hidden_TE));  // + 0: no "-0" for no target
}

}  // namespace longgen
