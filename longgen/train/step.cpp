#include "longgen/train/step.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "longgen/base/check.h"
#include "longgen/train/loss_exchange.h"
#include "longgen/train/objective/alignment.h"

namespace longgen {
namespace {

using Progress = std::function<void(double share)>;

/// The micro-batches of a step, as this process goes through them.
class Batches {
 public:
  Batches(TrainableModel& model, const std::vector<MicroBatch>& batches, double count, int64_t step,
          const StepOptions& options)
      : model_(model),
        batches_(batches),
        loss_scale_(1.0 / count),
        call_(detail::concat("step ", step)),
        options_(options) {}

  /// Adds the gradients of a loss that is a mean of `count`. Gives its sums over all batches.
  LossSums add_gradients() {
    const std::vector<LossSums> found =
        options_.exchange != nullptr ? of_ranks(*options_.exchange) : of_this_process();
    LossSums sums;
    for (const LossSums& of_batch : found) sums.add(of_batch);
    return sums;
  }

 private:
  std::vector<LossSums> of_this_process() {
    num_own_ = batches_.size();
    std::vector<LossSums> found;
    for (const MicroBatch& batch : batches_) found.push_back(add_batch(batch, found.empty()));
    return found;
  }

  std::vector<LossSums> of_ranks(GradientExchange& exchange) {
    const auto rank = static_cast<size_t>(exchange.ranks().rank());
    const auto num_ranks = static_cast<size_t>(exchange.ranks().num_ranks());
    num_own_ = (batches_.size() - rank + num_ranks - 1) / num_ranks;
    std::vector<LossSums> own;
    exchange.clear();
    for (size_t first = 0; first < batches_.size(); first += num_ranks) {
      if (first > 0) model_.clear_gradients();
      if (first + rank < batches_.size()) own.push_back(add_batch(batches_[first + rank], true));
      const size_t num_given = std::min(num_ranks, batches_.size() - first);
      exchange.add_round(call_ + " gradients", static_cast<int>(num_given));
    }
    exchange.finish(call_ + " sums of gradients");
    return all_losses(exchange.ranks(), call_ + " losses", own,
                      static_cast<int64_t>(batches_.size()));
  }

  /// Adds the gradients of one micro-batch, to others or to zeros.
  LossSums add_batch(const MicroBatch& batch, bool to_zeros) {
    Progress on_progress;
    if (options_.on_progress) {
      on_progress = [this](double share) {
        options_.on_progress((num_done_ + share) / static_cast<double>(num_own_));
      };
    }
    const LossSums sums = add_gradients_of(batch, to_zeros, on_progress);
    ++num_done_;
    return sums;
  }

  LossSums add_gradients_of(const MicroBatch& batch, bool to_zeros, const Progress& on_progress) {
    if (options_.align_to != nullptr) {
      const AlignmentOptions align = {*options_.align_to, loss_scale_, on_progress};
      const double loss = alignment_pass(model_.decoder(), batch, align, model_.gradients());
      return {.cross_entropy = loss, .weights = 1};
    }
    BackwardOptions backward = options_.backward;
    backward.loss_scale = loss_scale_;
    backward.gradients_are_zero = to_zeros;
    backward.on_progress = on_progress;
    return backward_pass(model_.decoder(), batch, backward, model_.gradients());
  }

  TrainableModel& model_;
  const std::vector<MicroBatch>& batches_;
  const double loss_scale_;
  const std::string call_;
  const StepOptions& options_;
  size_t num_own_ = 0;  // batches that this process computes
  double num_done_ = 0;
};

}  // namespace

StepResult train_step(TrainableModel& model, const std::vector<MicroBatch>& batches,
                      int64_t num_targets, int64_t step, const StepOptions& options) {
  model.clear_gradients();
  const auto count = static_cast<double>(
      options.align_to != nullptr ? static_cast<int64_t>(batches.size()) : num_targets);
  const LossSums sums = Batches(model, batches, count, step, options).add_gradients();
  StepResult result = {.loss = sums.cross_entropy / sums.weights,
                       .distill_loss = sums.divergence / sums.weights,
                       .weights = sums.weights};
  // What weights add up to is known now; without any it is the count.
  const double mean = count / sums.weights;
  const double norm = result.gradient_norm = gradient_norm(model.gradients()) * mean;
  const double clip = options.clip_norm;
  const double scale = clip > 0 && norm > clip ? clip / norm : 1.0;
  result.applied = std::isfinite(result.loss) && std::isfinite(result.distill_loss) &&
                   norm * scale <= kLargestNorm;
  if (result.applied) model.update(scale * mean, step, options.adamw);
  return result;
}

}  // namespace longgen
