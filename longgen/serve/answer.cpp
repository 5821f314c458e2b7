#include "longgen/serve/answer.h"

#include <utility>

#include "longgen/base/check.h"

namespace longgen {

Answer::Answer(const ServedModel& model, AnswerPlan plan, std::shared_ptr<http::Exchange> exchange)
    : model_(model),
      plan_(std::move(plan)),
      exchange_(std::move(exchange)),
      writer_(make_answer_writer(plan_, exchange_)),
      choices_(static_cast<size_t>(plan_.num_choices())) {
  for (const PlannedPrompt& prompt : plan_.prompts)
    usage_.prompt_tokens += std::ssize(prompt.tokens);
}

void Answer::begin() {
  if (!std::exchange(has_begun_, true)) writer_->begin();
}

void Answer::begin(int64_t choice, const RequestBegan& began) {
  begin();
  // The prompt counts once, whatever the number of its choices; so does what was known of it.
  if (plan_.is_first_of_prompt(choice)) usage_.cached_tokens += began.cached_tokens;
  at(choice).reply.emplace(model_, plan_, choice, detail::concat(plan_.head.id, "_", choice, "_"));
  writer_->begin_choice(choice, usage_);
  if (!plan_.has_prompt_logprobs(choice)) write_prompt(choice);
}

void Answer::progress(const RequestProgress& progress) {
  const std::chrono::duration<double> since = std::chrono::steady_clock::now() - plan_.received;
  writer_->progress({.total_tokens = std::ssize(plan_.prompts[0].tokens),
                     .cached_tokens = usage_.cached_tokens,
                     .processed_tokens = progress.done_tokens,
                     .seconds = since.count(),
                     .remaining_seconds = progress.remaining_seconds});
}

void Answer::take(int64_t choice, const PromptLogprobs& logprobs) {
  std::vector<TokenLogprobs>& prompt = at(choice).prompt;
  prompt.insert(prompt.end(), logprobs.places.begin(), logprobs.places.end());
}

bool Answer::take(int64_t choice, const TokenDrawn& drawn) {
  write_prompt(choice);
  if (plan_.max_tokens == 0) return false;
  ++usage_.completion_tokens;
  ChoiceReply& reply = at(choice).reply.value();
  write(choice, reply.push(drawn));
  return reply.found_stop_string();
}

void Answer::end(int64_t choice, RequestEnd end) {
  write_prompt(choice);
  ChoiceReply& reply = at(choice).reply.value();
  write(choice, reply.finish());
  // The token that max_tokens 0 throws away may be a stop token.
  writer_->finish_choice(choice, reply.reason(plan_.max_tokens == 0 ? RequestEnd::length : end),
                         usage_);
}

void Answer::end() {
  exchange_->note("prompt_tokens", usage_.prompt_tokens);
  exchange_->note("cached_tokens", usage_.cached_tokens);
  exchange_->note("completion_tokens", usage_.completion_tokens);
  writer_->end(usage_);
}

void Answer::write(int64_t choice, ReplyPiece piece) {
  if (!piece.is_empty()) writer_->write(choice, std::move(piece), usage_);
}

void Answer::write_prompt(int64_t choice) {
  if (std::exchange(at(choice).has_prompt, true)) return;
  if (plan_.has_prompt_logprobs(choice) && plan_.prompt_logprobs) {
    writer_->prompt_logprobs(choice, prompt_places(choice, *plan_.prompt_logprobs));
  }
  if (!plan_.echo) return;
  ReplyPiece piece{{{plan_.prompt_of(choice).echo, std::nullopt}}, {}};
  if (plan_.logprobs) piece.places = prompt_places(choice, *plan_.logprobs);
  at(choice).prompt = {};
  write(choice, std::move(piece));
}

std::vector<openai::PlaceLogprobs> Answer::prompt_places(int64_t choice, int64_t num_best) {
  const std::vector<int32_t>& tokens = plan_.prompt_of(choice).tokens;
  const std::vector<TokenLogprobs>& logprobs = at(choice).prompt;
  LG_CHECK(logprobs.size() + 1 == tokens.size(), "[serve] expected log probabilities of ",
           tokens.size() - 1, " tokens of the prompt, found ", logprobs.size(), ".");
  std::vector<openai::PlaceLogprobs> places;
  places.reserve(tokens.size());
  places.push_back(
      {.token = {tokens[0], model_.tokenizer.token_bytes(tokens[0])}, .predicted = false});
  for (size_t i = 1; i < tokens.size(); ++i) {
    places.push_back(place_logprobs(model_.tokenizer, tokens[i], logprobs[i - 1], num_best));
  }
  return places;
}

}  // namespace longgen
