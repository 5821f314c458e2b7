#include "longgen/eval/baselines/baseline_runs.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/argmax.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/logsumexp.h>
#include <ATen/ops/stack.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "longgen/engine/text_stream.h"
#include "longgen/eval/baselines/baseline_context.h"

namespace longgen {
namespace {

at::Tensor tensor_of(std::span<const int32_t> ids) {
  const at::Tensor ids_T = at::empty({static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), ids_T.data_ptr<int64_t>());
  return ids_T;
}

/// Returns the logits (V) that follow the prompt, where the decoder is; undefined where `goes_on`
/// has said no.
at::Tensor read_prompt(const Decoder& decoder, BaselineContext& context,
                       std::span<const int32_t> prompt, int64_t step_tokens,
                       const std::function<bool()>& goes_on) {
  at::Tensor hidden_TE;
  while (!prompt.empty()) {
    const size_t count = std::min(prompt.size(), static_cast<size_t>(step_tokens));
    context.begin_prompt(static_cast<int64_t>(count), count == prompt.size());
    hidden_TE = decoder.forward(tensor_of(prompt.first(count)), context,
                                [&](int64_t) { return goes_on(); });
    if (!hidden_TE.defined()) return {};
    prompt = prompt.subspan(count);
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
                           std::function<bool()> goes_on)
    : decoder_(decoder), policy_(policy), step_tokens_(step_tokens), goes_on_(std::move(goes_on)) {}

std::optional<Reply> BaselineRuns::reply(const Tokenizer& tokenizer,
                                         const ReplyRequest& request) const {
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
    if (!goes_on_()) return std::nullopt;
    logits_V = read_token(decoder_, context, token);
  }
  return std::nullopt;
}

bool BaselineRuns::replies(const Tokenizer& tokenizer,
                           const std::function<std::optional<ReplyRequest>()>& next,
                           const std::function<void(Reply reply)>& on_reply) const {
  const at::NoGradGuard no_grad;
  while (goes_on_()) {
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
        if (!goes_on_()) return std::nullopt;
        of_tokens.push_back(
            score_of(read_token(decoder_, fork, continuation[i - 1]), continuation[i]));
      }
      scores.back().push_back(sum_of(of_tokens));
    }
  }
  return scores;
}

}  // namespace longgen
