// plan/work.h: parameters, floating-point operations and bytes of a model, in closed form.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "longgen/model/config.h"
#include "longgen/plan/activations.h"
#include "longgen/plan/number_format.h"

namespace longgen {

/// The parameters of each part, whose total() is ModelConfig::num_parameters().
struct ParameterCounts {
  int64_t embedding = 0;  ///< V E
  int64_t head = 0;       ///< V E, or 0 where it is the embedding
  int64_t attention = 0;  ///< matrices of q, k, v and the output
  int64_t ffn = 0;        ///< gate, up and down
  int64_t norms = 0;      ///< of layers, of heads (qk_norm), and the last one
  int64_t biases = 0;

  int64_t total() const { return embedding + head + attention + ffn + norms + biases; }
  bool operator==(const ParameterCounts&) const = default;
};

/// Counts parameters. Throws Error on sizes that make 10^15 or more.
ParameterCounts parameter_counts(const ModelConfig& config);

/// Floating-point operations; a multiply-add is two. They are doubles, because a million tokens of
/// a 70B model pass 2^63; exact below 2^53. Norms, RoPE, softmax, gates, biases and the embedding
/// are not counted: below 1% at every published shape.
struct Flops {
  double linear = 0;            ///< matrices of the layers, and the output head
  double full_attention = 0;    ///< of full layers: 4 D for each visible (query, key) pair and head
  double sparse_attention = 0;  ///< of sparse layers and windows, visible pairs only

  double total() const { return linear + full_attention + sparse_attention; }
  bool operator==(const Flops&) const = default;
};

/// Counts a forward pass of the tokens at positions [begin, end), with `logit_rows` rows of logits.
Flops forward_flops(const ModelConfig& config, const LayerPlan& layers, int64_t begin, int64_t end,
                    int64_t logit_rows);

/// What a training step runs forward beside the model itself (docs/recipes.md).
struct ObjectiveLoad {
  /// A teacher, whose own layer plan counts; null: none. Where it is the model itself with every
  /// layer full, it has no weights of its own.
  std::shared_ptr<const ModelConfig> teacher;
  bool teacher_is_self = false;
  bool far_weight = false;  ///< a pass in which no layer sees far
  bool operator==(const ObjectiveLoad&) const = default;
};
/// The operations of these over one sequence, with logits of every token: of the teacher once, for
/// far weights of the near pass and of the model's own.
Flops objective_flops(const ModelConfig& config, const LayerPlan& layers, int64_t num_tokens,
                      const ObjectiveLoad& load);

/// The operations of a training step over one sequence of num_tokens, with a loss at every token.
struct TrainingFlops {
  Flops forward;
  Flops backward;  ///< 2 x linear; 2.5 x attention, whose backward makes the scores once more
  /// The output head is never computed again, because its chunk makes its gradients; nor are the
  /// products with the down matrices, whose results no gradient needs.
  Flops recompute;
  Flops objective = {};  ///< objective_flops()

  double total() const {
    return forward.total() + backward.total() + recompute.total() + objective.total();
  }
  bool operator==(const TrainingFlops&) const = default;
};
TrainingFlops training_flops(const ModelConfig& config, const LayerPlan& layers, int64_t num_tokens,
                             Recomputation mode, const ObjectiveLoad& load = {});

/// The operations of a step of the first stage (train.align_steps) over one sequence: the pass of
/// the model as it began, without its output head, as `objective`; the sparse layers' attention
/// forward and backward. Nothing is computed again.
TrainingFlops alignment_flops(const ModelConfig& config, const LayerPlan& layers,
                              int64_t num_tokens);

/// The bytes read from memory by one decode step, in which each sequence
/// makes its last token of num_tokens.
struct DecodeBytes {
  int64_t weights = 0;  ///< once per step; of a separate embedding only one row, not counted
  int64_t kv = 0;       ///< K and V of the visible tokens, per sequence
};
DecodeBytes decode_bytes(const ModelConfig& config, const LayerPlan& layers, int64_t num_tokens,
                         NumberFormat format);

}  // namespace longgen
