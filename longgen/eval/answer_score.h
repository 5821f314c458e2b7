// eval/answer_score.h: whether a reply holds what it should, as RULER counts.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace longgen {

/// Gives the share of the answers that the reply holds, whether in lower or upper case (of ASCII).
/// Throws Error on no answers and on an empty one, which every reply would hold.
double score_all_answers(std::string_view reply, std::span<const std::string> answers);

/// Gives 1 when the reply holds one of the answers, or else 0; in all else like
/// score_all_answers().
double score_any_answer(std::string_view reply, std::span<const std::string> answers);

}  // namespace longgen
