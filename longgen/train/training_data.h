// train/training_data.h: the samples that a recipe trains and evaluates on.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "longgen/data/mixture.h"
#include "longgen/dist/communicator.h"
#include "longgen/train/backward_pass.h"
#include "longgen/train/log/step_log.h"
#include "longgen/train/recipe/recipe.h"

namespace longgen {

/// What one optimizer step reads.
struct StepBatches {
  std::vector<MicroBatch> batches;
  int64_t num_targets = 0;  ///< of all batches together, at least 1
};

/// Mean losses; NaN where the samples have no token to predict.
struct HeldOutLoss {
  double mean = 0;
  std::vector<SourceLoss> sources;  ///< by data.sources; none for data.path
};

/// The datasets of the recipe's [data], packed and mixed as it says.
class TrainingData {
 public:
  /// Throws Error naming the recipe's key where a dataset is none of the model's tokenizer and
  /// vocabulary, or too small for one sample.
  TrainingData(const Recipe& recipe, const ModelConfig& config);
  TrainingData(const TrainingData&) = delete;
  TrainingData& operator=(const TrainingData&) = delete;

  /// Of all datasets together.
  std::string hash() const { return train_.hash(); }
  /// The batches of a step, which counts from 1: a function of the step alone. Throws Error where
  /// they have no token to predict.
  StepBatches batches(int64_t step) const;
  /// Measures the held-out part's first eval.sequences samples, for recipes with eval.every above
  /// 0. Each of data.sources has its first samples measured, too: those among them, and so many
  /// that no source has fewer than its equal share of eval.sequences, rounded up.
  /// Ranks, where there are several, divide the samples among them; all get the result.
  HeldOutLoss held_out_loss(const Decoder& decoder, Communicator* ranks = nullptr) const;

 private:
  void check_tokens(const ModelConfig& config) const;
  void open_held_out();
  std::vector<SourceOrder::Place> held_out_places() const;
  LossSums loss_of_sample(const Decoder& decoder, const SourceOrder::Place& place) const;
  MicroBatch batch_of(std::span<const Sample> samples) const;

  const Recipe& recipe_;
  Mixture train_;
  std::optional<Mixture> held_out_;
};

}  // namespace longgen
