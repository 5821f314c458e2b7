// serve/answer_plan.h: what is to be answered, checked and complete.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/engine/stop.h"
#include "longgen/serve/engine_messages.h"
#include "longgen/serve/openai/responses.h"

namespace longgen {

struct PlannedPrompt {
  std::vector<int32_t> tokens;
  std::string echo;  ///< its text, which goes before the answer; empty unless it is asked for
};

/// Calls of functions that a reply may hold.
struct PlannedTools {
  openai::ToolFormat format;
  std::vector<std::string> functions;
};

/// One request of a client: some prompts with as many choices each. A choice is a request to the
/// engine.
struct AnswerPlan {
  using Route = openai::EventWriter::Route;

  Route route = Route::chat;
  openai::AnswerHead head = {};
  std::chrono::steady_clock::time_point received = {};

  std::vector<PlannedPrompt> prompts = {};  ///< at least one
  int64_t choices_per_prompt = 1;
  /// 0 reads the prompt only: the engine draws one token, which is thrown away.
  int64_t max_tokens = 1;
  DrawOptions draw = {};   ///< with the seed of a prompt's first choice
  StopCriteria stop = {};  ///< of the text
  int64_t priority = 0;
  std::string salt = {};

  bool echo = false;
  std::optional<int64_t> logprobs = {};         ///< of the reply, with so many best ones
  std::optional<int64_t> prompt_logprobs = {};  ///< as a field of their own
  std::optional<PlannedTools> tools = {};
  /// What the reply must be, as EBNF, until Prepare puts it into `draw`; empty: anything.
  std::string grammar = {};

  bool is_stream = false;
  std::optional<openai::StreamOptions> stream_options = {};

  int64_t num_choices() const { return static_cast<int64_t>(prompts.size()) * choices_per_prompt; }
  const PlannedPrompt& prompt_of(int64_t choice) const {
    return prompts[static_cast<size_t>(choice / choices_per_prompt)];
  }
  bool is_first_of_prompt(int64_t choice) const { return choice % choices_per_prompt == 0; }
  /// Are log probabilities of the prompt part of the choice?
  bool has_prompt_logprobs(int64_t choice) const;
  /// If so, how many best ones at each place are asked of the engine.
  int64_t num_prompt_logprobs() const;
  /// What the engine is asked for a choice. Choices of one prompt differ by their seed, and those
  /// of several prompts with one number do not, so that an answer does not depend on its batch.
  Submit submit(int64_t choice, RequestId id) const;
};

}  // namespace longgen
