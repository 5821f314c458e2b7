// eval/tasks/ruler_item.h: a sample of a RULER task as an item of an evaluation.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/eval/prompt_fitter.h"
#include "longgen/eval/suite/item.h"

namespace longgen {

/// score_all_answers() or score_any_answer().
using AnswerScore = double (*)(std::string_view reply, std::span<const std::string> answers);

GenerationItem ruler_item(const std::string& id, PromptText text,
                          std::vector<std::string> references, int64_t new_tokens,
                          AnswerScore score);

}  // namespace longgen
