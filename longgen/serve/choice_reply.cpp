#include "longgen/serve/choice_reply.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace longgen {
namespace {

// A reply's first characters depend on what stands just before: on whether there is a text at all,
// and on bytes of a character that is not complete. The rest of a long prompt says nothing.
constexpr size_t kPromptTail = 64;

std::span<const int32_t> text_before(const AnswerPlan& plan, int64_t choice) {
  if (plan.route == AnswerPlan::Route::chat) return {};  // a turn is a text of its own
  const std::vector<int32_t>& tokens = plan.prompt_of(choice).tokens;
  return std::span(tokens).last(std::min(tokens.size(), kPromptTail));
}

std::vector<openai::ReplyPart> parts_of(const std::string& text) {
  if (text.empty()) return {};
  return {{text, std::nullopt}};
}

}  // namespace

openai::PlaceLogprobs place_logprobs(const Tokenizer& tokenizer, int32_t token,
                                     const TokenLogprobs& logprobs, int64_t num_best) {
  openai::PlaceLogprobs place{.token = {token, tokenizer.token_bytes(token), logprobs.logprob},
                              .rank = logprobs.rank};
  for (const TokenLogprob& best : logprobs.best) {
    if (std::ssize(place.top) == num_best) break;
    place.top.push_back({best.token, tokenizer.token_bytes(best.token), best.logprob});
  }
  return place;
}

ChoiceReply::ChoiceReply(const ServedModel& model, const AnswerPlan& plan, int64_t choice,
                         const std::string& id)
    : tokenizer_(model.tokenizer),
      num_logprobs_(plan.logprobs),
      stream_(model.tokenizer, plan.stop, text_before(plan, choice)) {
  if (plan.tools) calls_.emplace(plan.tools->format, plan.tools->functions, id);
}

bool ChoiceReply::found_stop_string() const { return stream_.stop_reason() == StopReason::string; }

ReplyPiece ChoiceReply::push(const TokenDrawn& drawn) {
  const std::string text = stream_.push(drawn.token);
  const bool is_stop_token = stream_.stop_reason() == StopReason::token;
  if (num_logprobs_ && drawn.logprobs && !is_stop_token) {
    held_.push_back(place_logprobs(tokenizer_, drawn.token, *drawn.logprobs, *num_logprobs_));
  }
  if (!text.empty()) {
    let_places_go();
  } else if (found_stop_string()) {
    held_.clear();
  }
  return piece(calls_ ? calls_->push(text) : parts_of(text), false);
}

ReplyPiece ChoiceReply::finish() {
  const std::string rest = stream_.stop_reason() ? "" : stream_.finish();
  let_places_go();
  if (!calls_) return piece(parts_of(rest), true);
  std::vector<openai::ReplyPart> parts = calls_->push(rest);
  for (openai::ReplyPart& part : calls_->finish()) parts.push_back(std::move(part));
  return piece(std::move(parts), true);
}

void ChoiceReply::let_places_go() {
  leaving_.insert(leaving_.end(), std::make_move_iterator(held_.begin()),
                  std::make_move_iterator(held_.end()));
  held_.clear();
}

ReplyPiece ChoiceReply::piece(std::vector<openai::ReplyPart> parts, bool is_last) {
  ReplyPiece piece{std::move(parts), {}};
  if (!piece.parts.empty() || is_last) piece.places = std::exchange(leaving_, {});
  return piece;
}

openai::FinishReason ChoiceReply::reason(RequestEnd end) const {
  const bool is_cut = end == RequestEnd::length && !stream_.stop_reason();
  if (is_cut) return openai::FinishReason::length;
  const bool has_calls = calls_ && calls_->num_calls() > 0;
  return has_calls ? openai::FinishReason::tool_calls : openai::FinishReason::stop;
}

}  // namespace longgen
