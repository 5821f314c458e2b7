// serve/choice_reply.h: from the tokens of one choice to the pieces of its answer.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/engine/text_stream.h"
#include "longgen/serve/answer_plan.h"
#include "longgen/serve/openai/logprobs.h"
#include "longgen/serve/openai/tool_calls.h"
#include "longgen/serve/served_model.h"

namespace longgen {

/// Text and calls that became certain, and the log probabilities of tokens that go with them.
struct ReplyPiece {
  std::vector<openai::ReplyPart> parts = {};
  std::vector<openai::PlaceLogprobs> places = {};

  bool is_empty() const { return parts.empty() && places.empty(); }
};

/// Makes log probabilities as answers have them of those that the engine tells, with at most
/// `num_best` best ones.
openai::PlaceLogprobs place_logprobs(const Tokenizer& tokenizer, int32_t token,
                                     const TokenLogprobs& logprobs, int64_t num_best);

/// The reply of one choice while it comes: whole characters, up to the first stop string, taken
/// apart into text and calls of functions. A token's log probabilities leave with the text that it
/// begins in or the next one; those of tokens that only a stop string consists of do not leave.
class ChoiceReply {
 public:
  /// The model must outlive it. `id` is part of the ids of calls.
  ChoiceReply(const ServedModel& model, const AnswerPlan& plan, int64_t choice,
              const std::string& id);

  /// After the end nothing may be pushed.
  ReplyPiece push(const TokenDrawn& drawn);
  /// A stop string has ended the reply.
  bool found_stop_string() const;
  /// The rest, after the last token. Once.
  ReplyPiece finish();
  /// Why the reply has ended, where the engine says so; a call of functions is a reason of its own.
  openai::FinishReason reason(RequestEnd end) const;
  /// Of what was pushed, a stop token included.
  int64_t num_tokens() const { return stream_.num_tokens(); }

 private:
  void let_places_go();
  ReplyPiece piece(std::vector<openai::ReplyPart> parts, bool is_last);

  const Tokenizer& tokenizer_;
  std::optional<int64_t> num_logprobs_;
  TextStream stream_;
  std::optional<openai::ToolCallParser> calls_;
  // Of tokens whose text may yet be a stop string's, and of those whose text may be a call's.
  std::vector<openai::PlaceLogprobs> held_, leaving_;
};

}  // namespace longgen
