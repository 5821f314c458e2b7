// train/trainable_model.h: a model while it is trained: weights, masters, gradients and moments.
#pragma once

#include <cstdint>

#include "longgen/base/files.h"
#include "longgen/model/decoder.h"
#include "longgen/plan/number_format.h"
#include "longgen/train/optimizer.h"

namespace longgen {

/// Returns torch's name of a type.
at::ScalarType scalar_type(NumberFormat format);

/// Owns all that a training step reads and changes, on one device:
///   weights    in the type of the computation: the decoder's
///   masters    the weights that the optimizer changes, in the type of the states; where both types
///              are the same, masters and weights are the same tensors
///   gradients  in the type of the states
///   moments    of AdamW, in the type of the states
/// longgen/plan/memory.h predicts their bytes. Movable, not copyable.
class TrainableModel {
 public:
  /// Takes the masters, whose type is that of the states, with no step done: gradients and moments
  /// are 0. `config` may be another one for the same tensors, such as that of the hybrid to be.
  TrainableModel(ModelConfig config, ModelWeights masters, at::ScalarType compute_dtype);
  /// Takes the masters and moments of a checkpoint.
  TrainableModel(ModelConfig config, ModelWeights masters, AdamWState moments,
                 at::ScalarType compute_dtype);
  TrainableModel(TrainableModel&&) = default;
  TrainableModel& operator=(TrainableModel&&) = default;

  const ModelConfig& config() const { return decoder_.config(); }
  /// Computes with the weights, which require gradients.
  const Decoder& decoder() const { return decoder_; }
  const ModelWeights& masters() const { return masters_; }
  const AdamWState& moments() const { return moments_; }
  /// The sums that backward_pass() adds to.
  ModelWeights& gradients() { return gradients_; }

  void clear_gradients();
  /// Lets the optimizer change masters and moments by grad_scale times the gradients, and the
  /// weights follow. `step` counts from 1. On a GPU the work may still be under way afterwards.
  void update(double grad_scale, int64_t step, const AdamWOptions& options);

  /// The bytes of all that it owns, every tensor once.
  int64_t total_bytes() const;

 private:
  bool has_masters() const;  // beside the weights

  ModelWeights masters_, gradients_;
  AdamWState moments_;
  Decoder decoder_;
};

struct TrainableOptions {
  at::ScalarType compute_dtype = at::kFloat;
  at::ScalarType states_dtype = at::kFloat;
  at::Device device = at::kCPU;
};
/// Reads the masters from a model directory, to be trained under another config. Throws Error
/// naming the file.
TrainableModel load_trainable(const fs::path& directory, ModelConfig config,
                              const TrainableOptions& options);

}  // namespace longgen
