// train/objective/objective.h: what the loss of a step is made of.
#pragma once

#include <ATen/core/Tensor.h>

#include "longgen/train/objective/teacher.h"

namespace longgen {

/// The loss of a step is the sum over its tokens that have a target of
///   weight x ((1 - distill_share) x cross-entropy + distill_share x KL(teacher, student)),
/// divided by the sum of the weights. A weight is the batch's, times that of far context.
struct Objective {
  const Teacher* teacher = nullptr;  ///< null: none, and distill_share is 0
  double distill_share = 0;
  double far_weight = 0;  ///< largest weight of far context (far_weights()); 0: it has none

  /// How many layers run beside those of the student's own forward and backward pass.
  int64_t num_extra_layers(const ModelConfig& student) const;
};

/// Sums over the tokens of a batch, or of several.
struct LossSums {
  double cross_entropy = 0;  ///< each times its weight
  double divergence = 0;     ///< the same of KL(teacher, student); 0 without a teacher
  double weights = 0;        ///< without weights the number of targets

  void add(const LossSums& other) {
    cross_entropy += other.cross_entropy;
    divergence += other.divergence;
    weights += other.weights;
  }
};

struct TokenLoss {
  at::Tensor loss;  ///< scalar: the sum to be made small, differentiable in hidden and head
  at::Tensor cross_entropy, divergence;  ///< scalars; divergence is undefined without a teacher
  double weights = 0;

  LossSums sums() const;
};

/// Gives the loss of the student's last hidden state (T, E) of a batch, which is on its device but
/// for doc_starts. on_layer is called after each extra layer. Logits exist in chunks only.
TokenLoss token_loss(const Objective& objective, const Decoder& student, const MicroBatch& batch,
                     const at::Tensor& hidden_TE, int64_t chunk_rows, const OnLayer& on_layer = {});

}  // namespace longgen
