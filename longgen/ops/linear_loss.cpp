#include "longgen/ops/linear_loss.h"

#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <optional>

#include "longgen/base/check.h"
#include "longgen/ops/gradients.h"
#include "longgen/ops/tensors.h"

namespace longgen {
namespace {

[[noreturn]] void refuse_target(const char* op, int64_t target, int64_t row, int64_t num_classes) {
  LG_FAIL("[", op, "] target ", target, " of row ", row, " is not in the vocabulary of ",
          num_classes, " tokens. Rows without a target have ", kNoTarget, ".");
}

void check_targets(const char* op, const at::Tensor& targets_T, int64_t num_classes) {
  const at::Tensor targets = targets_T.cpu().contiguous();
  const int64_t* target = targets.const_data_ptr<int64_t>();
  for (int64_t t = 0; t < targets.numel(); ++t) {
    const bool good = target[t] == kNoTarget || (target[t] >= 0 && target[t] < num_classes);
    if (!good) refuse_target(op, target[t], t, num_classes);
  }
}

/// On a GPU the targets are checked there, while the losses are summed.
bool checks_later(const at::Tensor& hidden_TE) {
  return hidden_TE.is_cuda() && has_row_kernels(hidden_TE);
}

void check_teacher(const char* op, const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                   const DistillationTeacher& teacher) {
  const at::Tensor &hidden = teacher.hidden_TE, &weight = teacher.weight_VE;
  const auto is_like = [&](const at::Tensor& x) {
    return x.scalar_type() == hidden_TE.scalar_type() && x.device() == hidden_TE.device();
  };
  LG_CHECK(hidden.dim() == 2 && weight.dim() == 2 && hidden.size(1) == weight.size(1) &&
               hidden.size(0) == hidden_TE.size(0) && weight.size(0) == weight_VE.size(0) &&
               is_like(hidden) && is_like(weight),
           "[", op,
           "] the teacher's hidden must be (T, E') and its weight (V, E'), of the student's T, V, "
           "dtype and device.\n  ",
           describe("hidden", hidden_TE), " | ", describe("weight", weight_VE), " | ",
           describe("teacher's hidden", hidden), " | ", describe("teacher's weight", weight));
}

/// Adds the gradients of a chunk's rows, whose logits have become gradients.
void add_chunk_gradients(const RowChunk& chunk, const at::Tensor& grad_TV,
                         const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                         const at::Tensor& row_weights_T, LinearLossResult& result) {
  // A row's weight scales what is narrow, (T, E), instead of (T, V).
  const bool weighs = row_weights_T.defined();
  const at::Tensor weights_T1 = weighs ? chunk.of(row_weights_T).unsqueeze(1) : at::Tensor();
  if (result.grad_hidden_TE.defined()) {
    at::Tensor grad_TE = chunk.of(result.grad_hidden_TE);
    at::mm_out(grad_TE, grad_TV, weight_VE);
    if (weighs) grad_TE.mul_(weights_T1);
  }
  if (!result.grad_weight_VE.defined()) return;
  at::Tensor x_TE = chunk.of(hidden_TE);
  if (weighs) x_TE = x_TE.mul(weights_T1).to(x_TE.scalar_type());
  add_weight_gradient(grad_TV, x_TE, result.grad_weight_VE);
}

LinearLossResult empty_gradients(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                                 bool need_hidden, bool need_weight) {
  LinearLossResult result;
  if (need_hidden) result.grad_hidden_TE = at::empty(hidden_TE.sizes(), hidden_TE.options());
  if (need_weight) {
    result.grad_weight_VE =
        at::zeros(weight_VE.sizes(), weight_VE.options().dtype(compute_type(weight_VE)));
  }
  return result;
}

/// What each row has for itself.
struct RowLosses {
  at::Tensor targets_T, losses_T;
  at::Tensor divergences_T;  // undefined without a teacher
};

/// Fills the result's scalars; row weights change the rows.
void sum_up(const RowLosses& rows, const LinearLoss& loss, at::ScalarType type, int64_t num_classes,
            LinearLossResult& result) {
  const auto sum = [&](const at::Tensor& of_rows_T) {
    if (loss.row_weights_T.defined()) of_rows_T.mul_(loss.row_weights_T);
    return sum_losses(of_rows_T, rows.targets_T, num_classes);
  };
  const at::Tensor cross_entropy = sum(rows.losses_T);
  result.cross_entropy = result.loss = cross_entropy.to(type);
  if (!rows.divergences_T.defined()) return;
  const at::Tensor divergence = sum(rows.divergences_T);
  result.divergence = divergence.to(type);
  result.loss = cross_entropy.mul(1 - loss.share).add(divergence, loss.share).to(type);
}

}  // namespace

void check_linear_loss(const char* op, const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                       const LinearLoss& loss) {
  const at::Tensor &targets_T = loss.targets_T, &row_weights_T = loss.row_weights_T;
  const auto inputs = [&] {
    return "\n  " + describe("hidden", hidden_TE) + " | " + describe("weight", weight_VE) + " | " +
           describe("targets", targets_T);
  };
  LG_CHECK(is_supported_dtype(hidden_TE), "[", op, "] dtype must be float32, bfloat16 or float64.",
           inputs());
  LG_CHECK(weight_VE.scalar_type() == hidden_TE.scalar_type() &&
               weight_VE.device() == hidden_TE.device() && targets_T.device() == hidden_TE.device(),
           "[", op, "] hidden and weight must have one dtype, and all one device.", inputs());
  LG_CHECK(hidden_TE.dim() == 2 && weight_VE.dim() == 2 && hidden_TE.size(1) == weight_VE.size(1),
           "[", op, "] hidden must be (T, E) and weight (V, E).", inputs());
  LG_CHECK(targets_T.dim() == 1 && targets_T.scalar_type() == at::kLong &&
               targets_T.size(0) == hidden_TE.size(0),
           "[", op, "] targets must be int64, one for each row of hidden.", inputs());
  LG_CHECK(!row_weights_T.defined() || (row_weights_T.sizes() == targets_T.sizes() &&
                                        row_weights_T.scalar_type() == at::kFloat &&
                                        row_weights_T.device() == hidden_TE.device()),
           "[", op, "] row weights must be float32, one for each row of hidden, on its device.",
           inputs());
  LG_CHECK(loss.chunk_rows >= 0, "[", op,
           "] chunk_rows must be at least 1, or 0 for what suits the device, found ",
           loss.chunk_rows, ".");
  if (loss.teacher.hidden_TE.defined()) check_teacher(op, hidden_TE, weight_VE, loss.teacher);
  if (!checks_later(hidden_TE)) check_targets(op, targets_T, weight_VE.size(0));
}

std::vector<RowChunk> chunks_of(const at::Tensor& hidden_TE, int64_t chunk_rows) {
  const int64_t num_rows = hidden_TE.size(0);
  if (num_rows == 0) return {};
  if (chunk_rows == kChunkRowsOfDevice) chunk_rows = default_loss_chunk_rows(hidden_TE.device());
  const int64_t num_chunks = (num_rows - 1) / chunk_rows + 1;
  const int64_t least_rows = num_rows / num_chunks, num_longer = num_rows % num_chunks;
  std::vector<RowChunk> chunks;
  for (int64_t i = 0, first = 0; i < num_chunks; ++i) {
    chunks.push_back({first, least_rows + (i < num_longer ? 1 : 0)});
    first += chunks.back().count;
  }
  return chunks;
}

ChunkLogits::ChunkLogits(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                         const std::vector<RowChunk>& chunks)
    : hidden_TE_(hidden_TE),
      weight_VE_(weight_VE),
      buffer_(at::empty({chunks.empty() ? 0 : chunks.front().count, weight_VE.size(0)},
                        hidden_TE.options())) {}

at::Tensor ChunkLogits::of(const RowChunk& chunk) {
  at::Tensor logits_TV = buffer_.narrow(0, 0, chunk.count);
  at::mm_out(logits_TV, chunk.of(hidden_TE_), weight_VE_.t());
  return logits_TV;
}

at::Tensor empty_losses(const at::Tensor& hidden_TE) {
  return at::empty({hidden_TE.size(0)}, hidden_TE.options().dtype(at::kDouble));
}

at::Tensor sum_losses(const at::Tensor& losses_T, const at::Tensor& targets_T,
                      int64_t num_classes) {
  if (losses_T.is_cuda() && gpu::has_kernels()) {
    const at::Tensor result = gpu::ops().sum_losses(losses_T, targets_T, num_classes);
    const auto bad_row = static_cast<int64_t>(result.cpu().const_data_ptr<double>()[1]);
    if (bad_row >= 0) {
      refuse_target("linear_cross_entropy", targets_T.select(0, bad_row).item<int64_t>(), bad_row,
                    num_classes);
    }
    return result.select(0, 0);
  }
  // One after the other: ATen's own sum may group them by thread.
  const at::Tensor losses = losses_T.cpu();
  const double* loss = losses.const_data_ptr<double>();
  double sum = 0;
  for (int64_t t = 0; t < losses.numel(); ++t) sum += loss[t];
  return at::full({}, sum, losses_T.options());
}

LinearLossResult linear_loss_forward(const at::Tensor& hidden_TE, const at::Tensor& weight_VE,
                                     const LinearLoss& loss, bool need_hidden, bool need_weight) {
  const at::NoGradGuard no_grad;
  RowLosses rows = {loss.targets_T.contiguous(), empty_losses(hidden_TE), {}};
  const DistillationTeacher& teacher = loss.teacher;
  const bool distils = teacher.hidden_TE.defined(), make_gradient = need_hidden || need_weight;
  if (distils) rows.divergences_T = empty_losses(hidden_TE);
  LinearLossResult result = empty_gradients(hidden_TE, weight_VE, need_hidden, need_weight);
  const std::vector<RowChunk> chunks = chunks_of(hidden_TE, loss.chunk_rows);
  ChunkLogits logits(hidden_TE, weight_VE, chunks);
  std::optional<ChunkLogits> teacher_logits;
  if (distils) teacher_logits.emplace(teacher.hidden_TE, teacher.weight_VE, chunks);
  for (const RowChunk& chunk : chunks) {
    const at::Tensor logits_TV = logits.of(chunk), targets = chunk.of(rows.targets_T);
    if (distils) {
      chunk_distillation(logits_TV, teacher_logits->of(chunk), loss.share, targets,
                         chunk.of(rows.losses_T), chunk.of(rows.divergences_T), make_gradient);
    } else {
      chunk_cross_entropy(logits_TV, targets, chunk.of(rows.losses_T), make_gradient);
    }
    add_chunk_gradients(chunk, logits_TV, hidden_TE, weight_VE, loss.row_weights_T, result);
  }
  sum_up(rows, loss, compute_type(hidden_TE), weight_VE.size(0), result);
  return result;
}

}  // namespace longgen
