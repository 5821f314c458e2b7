// eval/tasks/babilong_prompts.h: how BABILong asks, and the answers that each of its tasks has.
#pragma once

#include <string>
#include <vector>

#include "longgen/eval/prompt_fitter.h"

namespace longgen {

struct BabilongPrompt {
  std::string name;  ///< "babilong_qa1"
  std::string instruction, examples, post_prompt;
  std::vector<std::string> labels;  ///< in small letters
};

/// Returns those of qa1 to qa10, in this order.
const std::vector<BabilongPrompt>& babilong_prompts();

/// Writes a question as BABILong does; its replies begin with nothing.
PromptText babilong_question(const BabilongPrompt& prompt, const std::string& context,
                             const std::string& question);

}  // namespace longgen
