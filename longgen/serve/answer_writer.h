// serve/answer_writer.h: the form in which an answer goes to the client.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "longgen/serve/answer_plan.h"
#include "longgen/serve/choice_reply.h"
#include "longgen/serve/http/exchange.h"
#include "longgen/serve/openai/api_error.h"

namespace longgen {

/// Takes an answer piece by piece. Choices are counted as AnswerPlan does; `so_far` are the counts
/// of the whole answer. After end() or fail() nothing may follow.
class AnswerWriter {
 public:
  virtual ~AnswerWriter() = default;

  /// The first of the answer's choices is on its way.
  virtual void begin() {}
  virtual void begin_choice(int64_t choice, const openai::Usage& so_far) = 0;
  virtual void progress(const openai::Progress&) {}
  /// A piece with places of its text, where log probabilities were asked for.
  virtual void write(int64_t choice, ReplyPiece piece, const openai::Usage& so_far) = 0;
  /// The prompt's log probabilities as a field of their own.
  virtual void prompt_logprobs(int64_t choice, std::vector<openai::PlaceLogprobs> places) = 0;
  virtual void finish_choice(int64_t choice, openai::FinishReason reason,
                             const openai::Usage& so_far) = 0;
  virtual void end(const openai::Usage& usage) = 0;
  virtual void fail(const openai::ApiError& error, const http::Headers& headers) = 0;
};

/// Makes the writer that the plan asks for: events at once, or one JSON object at the end. The plan
/// must outlive it.
std::unique_ptr<AnswerWriter> make_answer_writer(const AnswerPlan& plan,
                                                 std::shared_ptr<http::Exchange> exchange);

inline constexpr const char* kJsonType = "application/json";

/// Answers with an error object.
void answer_error(http::Exchange& exchange, const openai::ApiError& error,
                  const http::Headers& headers = {});

}  // namespace longgen
