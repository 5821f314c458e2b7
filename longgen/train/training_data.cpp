#include "longgen/train/training_data.h"

#include <cmath>
#include <span>

#include "longgen/base/check.h"
#include "longgen/tokenizer/tokenizer.h"
#include "longgen/train/batches.h"
#include "longgen/train/loss_exchange.h"

namespace longgen {

namespace {

std::vector<MixtureSource> sources_of(const Recipe& recipe) {
  const std::vector<DataSource> datasets = recipe.datasets();
  std::vector<MixtureSource> sources;
  for (size_t i = 0; i < datasets.size(); ++i) {
    const DataSource& dataset = datasets[i];
    sources.push_back(
        {dataset.path, dataset.weight, dataset.packing, recipe.where(recipe.path_key(i))});
  }
  return sources;
}

double mean_loss(const LossSums& sums) {
  return sums.weights > 0 ? sums.cross_entropy / sums.weights : NAN;
}

MixtureOptions mixture_options(const Recipe& recipe, uint64_t seed) {
  return {recipe.data.sequence_length, seed, recipe.data.mask == DocumentMask::anchor};
}

}  // namespace

TrainingData::TrainingData(const Recipe& recipe, const ModelConfig& config)
    : recipe_(recipe),
      train_(sources_of(recipe), kTrainSplit,
             mixture_options(recipe, static_cast<uint64_t>(recipe.data.seed))) {
  check_tokens(config);
  if (recipe.eval.every > 0) open_held_out();
}

void TrainingData::check_tokens(const ModelConfig& config) const {
  const std::string hash = Tokenizer::load(recipe_.model.path).hash();
  for (size_t i = 0; i < train_.num_sources(); ++i) {
    const TokenDataset& dataset = train_.dataset(i);
    dataset.expect_tokenizer(hash);
    LG_CHECK(dataset.largest_id() < config.vocab_size, recipe_.where(recipe_.path_key(i)),
             ": the dataset has tokens up to ", dataset.largest_id(),
             ", but the model a vocabulary of ", config.vocab_size, ".");
  }
}

void TrainingData::open_held_out() {
  const std::vector<MixtureSource> sources = sources_of(recipe_);
  const int64_t length = recipe_.data.sequence_length;
  for (const MixtureSource& source : sources) {
    const int64_t found = TokenDataset::open(source.path, kHeldOutSplit).num_tokens();
    const std::string whose = sources.size() == 1 ? "the dataset" : source.path.string();
    LG_CHECK(found >= length, recipe_.where("eval.every"), ": ", whose, "'s held-out part has ",
             found, " tokens, but one sequence takes ", length,
             ". Prepare the data with a larger --held-out, or set eval.every = 0.");
  }
  held_out_.emplace(sources, kHeldOutSplit, mixture_options(recipe_, 0));
}

StepBatches TrainingData::batches(int64_t step) const {
  const Recipe::Train& train = recipe_.train;
  std::vector<Sample> samples;
  for (int64_t i = 0; i < train.batch_size; ++i) {
    samples.push_back(train_.sample((step - 1) * train.batch_size + i));
  }
  StepBatches result;
  result.num_targets = num_targets(samples);
  LG_CHECK(result.num_targets > 0, recipe_.where(recipe_.path_key(0)), ": the samples of step ",
           step, " have no token to predict.");
  const int64_t per_batch = train.batch_size / train.accumulation;
  for (int64_t first = 0; first < train.batch_size; first += per_batch) {
    const auto some = std::span(samples).subspan(first, per_batch);
    result.batches.push_back(batch_of(some));
  }
  return result;
}

MicroBatch TrainingData::batch_of(std::span<const Sample> samples) const {
  return make_batch(samples, recipe_.data.mask, recipe_.train.answer_weight);
}

LossSums TrainingData::loss_of_sample(const Decoder& decoder,
                                      const SourceOrder::Place& place) const {
  const Sample sample = held_out_->sample(place);
  return loss_of(decoder, batch_of(std::span(&sample, 1)), recipe_.train.loss_chunk_rows);
}

/// The samples that are measured: the first of all, then those that a source still lacks.
std::vector<SourceOrder::Place> TrainingData::held_out_places() const {
  const size_t num_sources = held_out_->num_sources();
  std::vector<SourceOrder::Place> places;
  std::vector<int64_t> measured(num_sources);  // samples of each, its first ones
  for (int64_t i = 0; i < recipe_.eval.sequences; ++i) {
    places.push_back(held_out_->place(i));
    ++measured[places.back().source];
  }
  const auto share = static_cast<int64_t>(num_sources);
  const int64_t least = (recipe_.eval.sequences + share - 1) / share;
  for (size_t s = 0; s < recipe_.data.sources.size(); ++s) {
    for (int64_t i = measured[s]; i < least; ++i) places.push_back({s, i});
  }
  return places;
}

HeldOutLoss TrainingData::held_out_loss(const Decoder& decoder, Communicator* ranks) const {
  const std::vector<SourceOrder::Place> places = held_out_places();
  const auto first = static_cast<size_t>(ranks != nullptr ? ranks->rank() : 0);
  const auto every = static_cast<size_t>(ranks != nullptr ? ranks->num_ranks() : 1);
  std::vector<LossSums> found;
  for (size_t i = first; i < places.size(); i += every) {
    found.push_back(loss_of_sample(decoder, places[i]));
  }
  if (ranks != nullptr) {
    found = all_losses(*ranks, "held-out losses", found, static_cast<int64_t>(places.size()));
  }
  LossSums all;
  std::vector<LossSums> of_sources(held_out_->num_sources());
  for (size_t i = 0; i < places.size(); ++i) {
    if (static_cast<int64_t>(i) < recipe_.eval.sequences) all.add(found[i]);
    of_sources[places[i].source].add(found[i]);
  }
  HeldOutLoss result{mean_loss(all), {}};
  for (size_t s = 0; s < recipe_.data.sources.size(); ++s) {
    result.sources.push_back({recipe_.data.sources[s].name, mean_loss(of_sources[s])});
  }
  return result;
}

}  // namespace longgen
