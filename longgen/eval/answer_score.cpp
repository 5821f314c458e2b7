#include "longgen/eval/answer_score.h"

#include <algorithm>

#include "longgen/base/ascii.h"
#include "longgen/base/check.h"

namespace longgen {
namespace {

int64_t count_held(std::string_view reply, std::span<const std::string> answers) {
  LG_CHECK(!answers.empty(), "[answer_score] expected at least one answer, found none.");
  const std::string text = ascii_lower(reply);
  return std::count_if(answers.begin(), answers.end(), [&](const std::string& answer) {
    LG_CHECK(!answer.empty(), "[answer_score] expected an answer, found an empty one.");
    return text.find(ascii_lower(answer)) != std::string::npos;
  });
}

}  // namespace

double score_all_answers(std::string_view reply, std::span<const std::string> answers) {
  return static_cast<double>(count_held(reply, answers)) / static_cast<double>(answers.size());
}

double score_any_answer(std::string_view reply, std::span<const std::string> answers) {
  return count_held(reply, answers) > 0 ? 1 : 0;
}

}  // namespace longgen
