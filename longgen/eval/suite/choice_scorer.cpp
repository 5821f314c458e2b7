#include "longgen/eval/suite/choice_scorer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/stack.h>
#include <c10/util/ScopeExit.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/eval/suite/packed_pass.h"
#include "longgen/ops/linear_cross_entropy.h"

namespace longgen {
namespace {

/// A token that is scored by the hidden state in a row of the step.
struct Target {
  int64_t row;
  int32_t token;
  ContinuationScore* score;  // to which its logarithm is added
};

at::Tensor to_device(const std::vector<int64_t>& values, const at::Device& device) {
  const at::Tensor tensor = at::empty({std::ssize(values)}, at::kLong);
  std::copy(values.begin(), values.end(), tensor.data_ptr<int64_t>());
  return tensor.to(device);
}

/// Gives the log-probability of each target, and 1 where it is the most probable token, (N, 2). The
/// choices of a context share the row, and logits, of their first tokens.
at::Tensor scores_of(const Decoder& decoder, const at::Tensor& hidden_TE,
                     std::span<const Target> targets) {
  const int64_t vocab = decoder.config().vocab_size;
  std::vector<int64_t> rows, places, tokens, elements;
  for (const Target& target : targets) {
    if (rows.empty() || rows.back() != target.row) rows.push_back(target.row);
    places.push_back(std::ssize(rows) - 1);
    tokens.push_back(target.token);
    elements.push_back(places.back() * vocab + target.token);
  }
  const at::Device device = decoder.device();
  const at::Tensor logits_TV =
      decoder.logits(hidden_TE.index_select(0, to_device(rows, device))).contiguous();
  const at::Tensor places_N = to_device(places, device);
  const at::Tensor logprobs_N = logits_TV.view({-1})
                                    .index_select(0, to_device(elements, device))
                                    .sub(at::logsumexp(logits_TV, 1).index_select(0, places_N));
  const at::Tensor best_N = at::argmax(logits_TV, 1).index_select(0, places_N);
  return at::stack({logprobs_N, best_N.eq(to_device(tokens, device)).to(at::kFloat)}, 1);
}

/// Adds each target's log-probability to its continuation, which is greedy as long as all targets
/// are the most probable ones. Logits exist for some rows at a time; the device is waited for once.
void add_targets(const Decoder& decoder, const at::Tensor& hidden_TE,
                 std::span<const Target> targets) {
  if (targets.empty()) return;
  const auto chunk = static_cast<size_t>(default_loss_chunk_rows(decoder.device()));
  std::vector<at::Tensor> parts;
  for (size_t begin = 0; begin < targets.size(); begin += chunk) {
    const auto some = targets.subspan(begin, std::min(chunk, targets.size() - begin));
    parts.push_back(scores_of(decoder, hidden_TE, some));
  }
  const at::Tensor scores_N2 = at::cat(parts).cpu().contiguous();
  const auto* values = scores_N2.const_data_ptr<float>();
  for (const Target& target : targets) {
    target.score->loglikelihood += values[0];
    target.score->greedy = target.score->greedy && values[1] != 0;
    values += 2;
  }
}

/// The contexts, each a sequence of the engine as long as this lives.
class Contexts {
 public:
  explicit Contexts(Engine& engine) : engine_(engine) {}
  ~Contexts() {
    for (const SequenceId sequence : sequences_) engine_.remove(sequence);
  }
  Contexts(const Contexts&) = delete;
  Contexts& operator=(const Contexts&) = delete;

  SequenceId add() {
    sequences_.push_back(engine_.add());
    return sequences_.back();
  }
  SequenceId fork(SequenceId context) {
    const auto sequence = engine_.fork(context, engine_.num_tokens(context));
    LG_DCHECK(sequence);  // at its length a sequence can always be forked
    sequences_.push_back(*sequence);
    return *sequence;
  }

 private:
  Engine& engine_;
  std::vector<SequenceId> sequences_;
};

}  // namespace

std::optional<ChoiceScores> ChoiceScorer::score(std::span<const ChoiceRequest> requests,
                                                const std::function<bool()>& goes_on) {
  const at::NoGradGuard no_grad;
  ChoiceScores scores;
  std::vector<PackedPart> contexts, tails;
  struct Tail {
    std::span<const int32_t> tokens;  // of the whole continuation
    ContinuationScore* score;
  };
  std::vector<Tail> of_tails;
  Contexts sequences(engine_);
  for (const ChoiceRequest& request : requests) {
    scores.emplace_back(request.continuations.size(), ContinuationScore{0, true});
    contexts.push_back({sequences.add(), request.context});
  }
  const auto after_context = [&](const at::Tensor& hidden_TE, std::span<const PackedChunk> chunks) {
    std::vector<Target> targets;
    int64_t row = 0;
    for (const PackedChunk& chunk : chunks) {
      row += chunk.num_tokens;
      const ChoiceRequest& request = requests[chunk.part];
      if (chunk.first_token + chunk.num_tokens < std::ssize(request.context)) continue;
      for (size_t i = 0; i < request.continuations.size(); ++i) {
        targets.push_back({row - 1, request.continuations[i].front(), &scores[chunk.part][i]});
      }
    }
    add_targets(engine_.decoder(), hidden_TE, targets);
  };
  if (!pass_packed(engine_, contexts, step_tokens_, after_context, goes_on)) return std::nullopt;
  for (size_t r = 0; r < requests.size(); ++r) {
    for (size_t i = 0; i < requests[r].continuations.size(); ++i) {
      const std::span<const int32_t> tokens = requests[r].continuations[i];
      if (tokens.size() == 1) continue;
      tails.push_back({sequences.fork(contexts[r].sequence), tokens.first(tokens.size() - 1)});
      of_tails.push_back({tokens, &scores[r][i]});
    }
  }
  const auto after_token = [&](const at::Tensor& hidden_TE, std::span<const PackedChunk> chunks) {
    std::vector<Target> targets;
    int64_t row = 0;
    for (const PackedChunk& chunk : chunks) {
      const Tail& tail = of_tails[chunk.part];
      for (int64_t i = 0; i < chunk.num_tokens; ++i) {
        const auto next = static_cast<size_t>(chunk.first_token + i + 1);
        targets.push_back({row++, tail.tokens[next], tail.score});
      }
    }
    add_targets(engine_.decoder(), hidden_TE, targets);
  };
  if (!pass_packed(engine_, tails, step_tokens_, after_token, goes_on)) return std::nullopt;
  return scores;
}

}  // namespace longgen
