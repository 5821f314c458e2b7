// serve/answer.h: one answer in the making.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "longgen/serve/answer_plan.h"
#include "longgen/serve/answer_writer.h"
#include "longgen/serve/choice_reply.h"
#include "longgen/serve/served_model.h"

namespace longgen {

/// Takes what the engine tells of the choices of one plan, and writes the answer. Choices begin in
/// any order, and none is told of before it has begun.
class Answer {
 public:
  /// The model must outlive it.
  Answer(const ServedModel& model, AnswerPlan plan, std::shared_ptr<http::Exchange> exchange);

  const AnswerPlan& plan() const { return plan_; }

  /// Begins what goes to the client, where begin(choice) has not yet.
  void begin();
  bool has_begun() const { return has_begun_; }
  void begin(int64_t choice, const RequestBegan& began);
  void progress(const RequestProgress& progress);
  void take(int64_t choice, const PromptLogprobs& logprobs);
  /// Returns whether a stop string has ended the choice; end(choice) is to follow.
  [[nodiscard]] bool take(int64_t choice, const TokenDrawn& drawn);
  void end(int64_t choice, RequestEnd end);
  /// All choices have ended.
  void end();
  void fail(const openai::ApiError& error, const http::Headers& headers = {}) {
    writer_->fail(error, headers);
  }

 private:
  struct Choice {
    std::optional<ChoiceReply> reply;
    std::vector<TokenLogprobs> prompt;  // of its tokens but the first
    bool has_prompt = false;            // what the answer holds of it was written
  };
  Choice& at(int64_t choice) { return choices_[static_cast<size_t>(choice)]; }
  void write(int64_t choice, ReplyPiece piece);
  /// Writes the prompt where the answer holds it, once all of it is known.
  void write_prompt(int64_t choice);
  std::vector<openai::PlaceLogprobs> prompt_places(int64_t choice, int64_t num_best);

  const ServedModel& model_;
  const AnswerPlan plan_;
  std::shared_ptr<http::Exchange> exchange_;
  std::unique_ptr<AnswerWriter> writer_;
  std::vector<Choice> choices_;
  openai::Usage usage_;
  bool has_begun_ = false;
};

}  // namespace longgen
