#include "longgen/train/training_data.h"

#include <cmath>
#include <span>

#include "longgen/base/check.h"
#include "longgen/tokenizer/tokenizer.h"
#include "longgen/train/batches.h"

namespace longgen {

TrainingData::TrainingData(const Recipe& recipe, const ModelConfig& config)
    : recipe_(recipe),
      train_(TokenDataset::open(recipe.data.path, "train")),
      packing_(train_, {recipe.data.sequence_length, recipe.data.packing,
                        static_cast<uint64_t>(recipe.data.seed)}) {
  train_.expect_tokenizer(Tokenizer::load(recipe.model.path).hash());
  LG_CHECK(train_.largest_id() < config.vocab_size, recipe.where("data.path"),
           ": the dataset has tokens up to ", train_.largest_id(),
           ", but the model a vocabulary of ", config.vocab_size, ".");
  if (recipe.eval.every > 0) open_held_out();
}

void TrainingData::open_held_out() {
  const Recipe::Data& data = recipe_.data;
  held_out_.emplace(TokenDataset::open(data.path, "held_out"));
  LG_CHECK(held_out_->num_tokens() >= data.sequence_length, recipe_.where("eval.every"),
           ": the dataset's held-out part has ", held_out_->num_tokens(),
           " tokens, but one sequence takes ", data.sequence_length,
           ". Prepare the data with a larger --held-out, or set eval.every = 0.");
  held_out_packing_.emplace(*held_out_, PackingOptions{data.sequence_length, data.packing, 0});
}

StepBatches TrainingData::batches(int64_t step) const {
  const Recipe::Train& train = recipe_.train;
  std::vector<Sample> samples;
  for (int64_t i = 0; i < train.batch_size; ++i) {
    samples.push_back(packing_.sample((step - 1) * train.batch_size + i));
  }
  StepBatches result;
  result.num_targets = num_targets(samples);
  LG_CHECK(result.num_targets > 0, recipe_.where("data.path"), ": the samples of step ", step,
           " have no token to predict.");
  const int64_t per_batch = train.batch_size / train.accumulation;
  for (int64_t first = 0; first < train.batch_size; first += per_batch) {
    const auto some = std::span(samples).subspan(first, per_batch);
    result.batches.push_back(make_batch(some, recipe_.data.mask));
  }
  return result;
}

double TrainingData::held_out_loss(const Decoder& decoder) const {
  LossSums sums;
  for (int64_t i = 0; i < recipe_.eval.sequences; ++i) {
    const Sample sample = held_out_packing_->sample(i);
    sums.add(loss_of(decoder, make_batch(std::span(&sample, 1), recipe_.data.mask),
                     recipe_.train.loss_chunk_rows));
  }
  return sums.weights > 0 ? sums.cross_entropy / sums.weights : NAN;
}

}  // namespace longgen
