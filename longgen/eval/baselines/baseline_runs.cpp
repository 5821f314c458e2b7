#include "longgen/eval/baselines/baseline_runs.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "longgen/engine/score.h"
#include "longgen/engine/text_stream.h"
#include "longgen/eval/baselines/baseline_context.h"

namespace longgen {
namespace {

at::Tensor tensor_of(std::span<const int32_t> ids) {
  const at::Tensor ids_T = at::empty({static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), ids_T.data_ptr<int64_t>());
  return ids_T;
}

/// Takes the tokens of a chunk, which stands behind `done` others, to their hidden states (T, E);
/// undefined where `goes_on` has said no.
at::Tensor read_chunk(const Decoder& decoder, BaselineContext& context,
                      std::span<const int32_t> chunk, int64_t done,
                      const BaselineRuns::GoesOn& goes_on) {
  return decoder.forward(tensor_of(chunk), context, [&](int64_t done_layers) {
    return goes_on(done + std::ssize(chunk) * done_layers / decoder.config().num_layers);
  });
}

/// Returns the logits (V) that follow the prompt, where the decoder is; undefined where `goes_on`
/// has said no.
at::Tensor read_prompt(const Decoder& decoder, BaselineContext& context,
                       std::span<const int32_t> prompt, int64_t step_tokens,
                       const BaselineRuns::GoesOn& goes_on) {
  at::Tensor hidden_TE;
  for (int64_t done = 0; done < std::ssize(prompt); done += step_tokens) {
    const int64_t count = std::min(std::ssize(prompt) - done, step_tokens);
    context.begin_prompt(count, done + count == std::ssize(prompt));
    hidden_TE = read_chunk(decoder, context,
                           prompt.subspan(static_cast<size_t>(done), static_cast<size_t>(count)),
                           done, goes_on);
    if (!hidden_TE.defined()) return {};
  }
  return decoder.logits(hidden_TE.narrow(0, hidden_TE.size(0) - 1, 1))[0];
}

at::Tensor read_token(const Decoder& decoder, BaselineContext& context, int32_t token) {
  context.begin_step();
  return decoder.logits(decoder.forward(tensor_of(std::span(&token, 1)), context))[0];
}

/// Gives the log-probability of the token, and 1 where it is the most probable one, (2).
at::Tensor score_of(const at::Tensor& logits_V, int32_t token) {
  const at::Tensor logprob = logits_V[token].sub(at::logsumexp(logits_V, 0));
  return at::stack({logprob, at::argmax(logits_V).eq(token).to(at::kFloat)});
}

ContinuationScore sum_of(const std::vector<at::Tensor>& scores) {
  const at::Tensor scores_N2 = at::stack(scores).cpu();
  const auto* values = scores_N2.const_data_ptr<float>();
  ContinuationScore sum{0, true};
  for (size_t i = 0; i < scores.size(); ++i) {
    sum.loglikelihood += values[2 * i];
    sum.greedy = sum.greedy && values[2 * i + 1] != 0;
  }
  return sum;
}

}  // namespace

BaselineRuns::BaselineRuns(const Decoder& decoder, const CachePolicy& policy, int64_t step_tokens,
                           GoesOn goes_on)
    : decoder_(decoder), policy_(policy), step_tokens_(step_tokens), goes_on_(std::move(goes_on)) {}

std::optional<Reply> BaselineRuns::reply(const Tokenizer& tokenizer,
                                         const ReplyRequest& request) const {
  const at::NoGradGuard no_grad;
  BaselineContext context(decoder_, policy_);
  TextStream stream(tokenizer, request.stop, request.prompt);
  std::string text;
  at::Tensor logits_V = read_prompt(decoder_, context, request.prompt, step_tokens_, goes_on_);
  const int64_t known = std::min(tokenizer.vocab_size(), decoder_.config().vocab_size);
  while (logits_V.defined()) {
    const auto token =
        static_cast<int32_t>(at::argmax(logits_V.narrow(0, 0, known)).item<int64_t>());
    text += stream.push(token);
    if (stream.stop_reason()) {
      return Reply{request.number, std::move(text), *stream.stop_reason(),
                   std::ssize(request.prompt), stream.num_tokens()};
    }
    if (!goes_on_(std::ssize(request.prompt))) return std::nullopt;
    logits_V = read_token(decoder_, context, token);
  }
  return std::nullopt;
}

bool BaselineRuns::replies(const Tokenizer& tokenizer,
                           const std::function<std::optional<ReplyRequest>()>& next,
                           const std::function<void(Reply reply)>& on_reply) const {
  while (goes_on_(0)) {
    const std::optional<ReplyRequest> request = next();
    if (!request) return true;
    std::optional<Reply> one = reply(tokenizer, *request);
    if (!one) return false;
    on_reply(std::move(*one));
  }
  return false;
}

std::optional<ChoiceScores> BaselineRuns::score(std::span<const ChoiceRequest> requests) const {
  const at::NoGradGuard no_grad;
  ChoiceScores scores;
  for (const ChoiceRequest& request : requests) {
    BaselineContext context(decoder_, policy_);
    const at::Tensor after_context_V =
        read_prompt(decoder_, context, request.context, step_tokens_, goes_on_);
    if (!after_context_V.defined()) return std::nullopt;
    scores.emplace_back();
    for (const std::vector<int32_t>& continuation : request.continuations) {
      BaselineContext fork = context;
      std::vector<at::Tensor> of_tokens = {score_of(after_context_V, continuation.front())};
      for (size_t i = 1; i < continuation.size(); ++i) {
        if (!goes_on_(std::ssize(request.context))) return std::nullopt;
        of_tokens.push_back(
            score_of(read_token(decoder_, fork, continuation[i - 1]), continuation[i]));
      }
      scores.back().push_back(sum_of(of_tokens));
    }
  }
  return scores;
}

std::optional<std::vector<float>> BaselineRuns::text_logprobs(std::span<const int32_t> ids) const {
  policy_.check_text("[baseline]");
  const at::NoGradGuard no_grad;
  BaselineContext context(decoder_, policy_);
  // Under h2o the text is the tokens behind a prompt: what is kept is chosen after each chunk.
  const bool chooses = policy_.kind == PolicyKind::h2o;
  const int64_t chunk = chooses ? policy_.text_step_tokens() : step_tokens_;
  std::vector<float> logprobs;
  for (int64_t done = 0; done < std::ssize(ids); done += chunk) {
    const int64_t count = std::min(std::ssize(ids) - done, chunk);
    if (chooses && done > 0) {
      context.begin_step(count);
    } else {
      context.begin_prompt(count, /*is_last=*/chooses);
    }
    const at::Tensor hidden_TE = read_chunk(
        decoder_, context, ids.subspan(static_cast<size_t>(done), static_cast<size_t>(count)), done,
        goes_on_);
    if (!hidden_TE.defined()) return std::nullopt;
    const std::vector<float> of_chunk = next_token_logprobs(decoder_, hidden_TE, ids, done);
    logprobs.insert(logprobs.end(), of_chunk.begin(), of_chunk.end());
  }
  return logprobs;
}

}  // namespace longgen
