// eval/suite/item.h: one item of an evaluation: what a model is asked, and how its answer is
// scored.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace longgen {

/// A text and what may follow it. Scored is the log-likelihood of `text` given `context`.
struct Continuation {
  std::string context;  ///< may be empty
  std::string text;     ///< not empty; with the space that stands before it
};

/// Gives the score of a reply, 0 to 1. Does not depend on anything but the reply.
using ScoreReply = std::function<double(std::string_view reply)>;

/// A choice among continuations. One alone asks whether the model would have written it, greedily.
struct ChoiceItem {
  std::string id;  ///< names the item in the task: the same for all models
  std::vector<Continuation> choices;
  int64_t gold = 0;  ///< the right one
};

/// A prompt that the model continues greedily.
struct GenerationItem {
  std::string id;             ///< names the item in the task: the same for all models
  std::string prompt;         ///< plain text, or the user's turn where the model chats
  std::string answer_prefix;  ///< what the reply begins with: follows the prompt, or opens the turn
  std::vector<std::string> references;  ///< what score() looks for; kept with the reply
  int64_t new_tokens = 0;               ///< the reply ends after as many at the latest
  std::vector<std::string> stops;       ///< texts before which the reply ends
  ScoreReply score;  ///< empty where nothing here can tell: the reply is kept, without a score
  /// Other scores of the same reply, by name ("strict").
  std::vector<std::pair<std::string, ScoreReply>> more_scores = {};
};

}  // namespace longgen
