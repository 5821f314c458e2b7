#include "longgen/train/objective/alignment.h"

#include <ATen/core/grad_mode.h>

#include "longgen/base/check.h"
#include "longgen/model/model_directory.h"

namespace longgen {
namespace {

/// Adds squares of x (T, E) fp32 row by row, so that the number of threads changes nothing.
double sum_of_squares(const at::Tensor& x_TE) {
  const at::Tensor rows = x_TE.square().sum(1).cpu();
  const auto* row = rows.const_data_ptr<float>();
  double sum = 0;
  for (int64_t t = 0; t < rows.numel(); ++t) sum += static_cast<double>(row[t]);
  return sum;
}

class Pass {
 public:
  Pass(const Decoder& student, const MicroBatch& batch, const AlignmentOptions& options,
       ModelWeights& gradients)
      : student_(student),
        options_(options),
        gradients_(gradients),
        context_(batch.tokens_T.size(0), batch.doc_starts),
        ropes_(student.ropes(context_)),
        origin_ropes_(options.origin.ropes(context_)),
        tokens_T_(batch.tokens_T.to(student.device())),
        share_(1.0 / static_cast<double>(student.config().layers.num_sparse())) {}

  double run() {
    const at::NoGradGuard no_grad;
    const int64_t num_layers = student_.config().num_layers;
    at::Tensor x_TE = options_.origin.embed(tokens_T_);
    double loss = 0;
    for (int64_t i = 0; i < num_layers; ++i) {
      const DecoderLayer& origin = options_.origin.layers()[i];
      const Residual full = origin.attention.forward({x_TE, {}}, origin_ropes_, context_);
      if (student_.config().layers.is_sparse(i)) loss += share_ * align(i, x_TE, full.delta_TE);
      FeedForwardRecord record = origin.feed_forward.record(full);
      x_TE = origin.feed_forward.forward(record, /*keeps=*/false);
      if (options_.on_progress) {
        options_.on_progress(static_cast<double>(i + 1) / static_cast<double>(num_layers));
      }
    }
    return loss;
  }

 private:
  /// Gives the loss of one layer, and adds its gradients.
  double align(int64_t index, const at::Tensor& x_TE, const at::Tensor& full_TE) {
    const AttentionLayer& layer = student_.layers()[index].attention;
    AttentionRecord record;
    const at::Tensor sparse_TE = layer.forward(x_TE, ropes_, context_, record).delta_TE;
    const at::Tensor wide_TE = full_TE.to(at::kFloat);
    const at::Tensor difference_TE = sparse_TE.to(at::kFloat).sub(wide_TE);
    const double size = sum_of_squares(wide_TE);
    if (size == 0) return 0;  // attention that gives nothing has nothing to learn
    const double scale = 2 * options_.loss_scale * share_ / size;
    layer.backward(difference_TE.mul(scale).to(sparse_TE.scalar_type()), record,
                   gradients_.layers[index]);
    return sum_of_squares(difference_TE) / size;
  }

  const Decoder& student_;
  const AlignmentOptions& options_;
  ModelWeights& gradients_;
  BatchContext context_;
  RopeTables ropes_, origin_ropes_;
  at::Tensor tokens_T_;
  double share_;  // of a layer
};

}  // namespace

double alignment_pass(const Decoder& student, const MicroBatch& batch,
                      const AlignmentOptions& options, ModelWeights& gradients) {
  return Pass(student, batch, options, gradients).run();
}

void check_alignment(const Recipe& recipe, const ModelConfig& student) {
  LG_CHECK(recipe.train.align_steps == 0 || student.is_hybrid(), recipe.where("train.align_steps"),
           ": expected 0 for a model without sparse layers, found ", recipe.train.align_steps, ".");
}

Decoder open_origin(const Recipe& recipe, const Decoder& student) {
  ModelConfig config = student.config();
  config.layers = config.layers.without_sparse();
  const LoadOptions load = {.dtype = student.dtype(), .device = student.device()};
  return {config, load_model(recipe.model.path, load).weights()};
}

}  // namespace longgen
