// GSM8K, without solved examples, scored as lm-eval's gsm8k does.
#include <cctype>

#include "longgen/base/check.h"
#include "longgen/eval/suite/item_lines.h"
#include "longgen/eval/tasks/short/file_tasks.h"

namespace longgen {
namespace {

constexpr std::string_view kMark = "#### ";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_number_part(char c) { return is_digit(c) || c == '.' || c == ','; }
bool is_money_part(char c) { return is_number_part(c) || c == '$'; }

/// The number that begins at `begin`, by lm-eval's pattern (-?[$0-9.,]{2,})|(-?[0-9]+); empty where
/// none does.
std::string_view number_at(std::string_view text, size_t begin) {
  const size_t first = begin + (text[begin] == '-' ? 1 : 0);
  size_t end = first;
  while (end < text.size() && is_money_part(text[end])) ++end;
  if (end - first >= 2) return text.substr(begin, end - begin);
  if (first < text.size() && is_digit(text[first])) return text.substr(begin, first + 1 - begin);
  return {};
}

std::string last_number(std::string_view text) {
  std::string_view last;
  for (size_t at = 0; at < text.size();) {
    const std::string_view number = number_at(text, at);
    if (!number.empty()) last = number;
    at += std::max<size_t>(1, number.size());
  }
  return std::string(last);
}

/// The number after the first #### that one follows.
std::string marked_number(std::string_view text) {
  for (size_t mark = text.find(kMark); mark != std::string_view::npos;
       mark = text.find(kMark, mark + 1)) {
    const size_t begin = mark + kMark.size();
    const size_t first = begin + (begin < text.size() && text[begin] == '-' ? 1 : 0);
    size_t end = first;
    while (end < text.size() && is_number_part(text[end])) ++end;
    if (end > first) return std::string(text.substr(begin, end - begin));
  }
  return "";
}

/// What two answers are compared as.
std::string plain(std::string number) {
  std::erase_if(number, [](char c) { return c == ',' || c == '$'; });
  if (number.ends_with('.')) number.pop_back();
  return number;
}

struct Problem {
  std::string id, question, answer;
};

}  // namespace

double score_gsm8k_flexible(std::string_view reply, const std::string& answer) {
  const std::string found = last_number(reply);
  return !found.empty() && plain(found) == plain(answer) ? 1 : 0;
}

double score_gsm8k_strict(std::string_view reply, const std::string& answer) {
  const std::string found = marked_number(reply);
  return !found.empty() && plain(found) == plain(answer) ? 1 : 0;
}

SuiteTask open_gsm8k(const fs::path& folder) {
  const fs::path file = folder / "gsm8k_test.jsonl";
  SuiteTask task = task_of_files("gsm8k", {file});
  std::vector<Problem> problems;
  for_each_item_line(file, [&](const JsonObject& line) {
    const std::string solution = line.string("answer");
    const size_t mark = solution.rfind(kMark);
    LG_CHECK(mark != std::string::npos, line.where("answer"),
             ": expected a solution that ends in \"#### \" and a number, found \"", solution,
             "\".");
    problems.push_back({std::to_string(problems.size()), line.string("question"),
                        stripped(solution.substr(mark + kMark.size()))});
  });
  make_replies_of(task, std::move(problems), [](const Problem& problem) {
    GenerationItem item;
    item.id = problem.id;
    item.prompt = "Question: " + problem.question + "\nAnswer:";
    item.references = {problem.answer};
    item.new_tokens = 256;
    item.stops = {"Question:", "</s>", "<|im_end|>"};
    item.score = [answer = problem.answer](std::string_view reply) {
      return score_gsm8k_flexible(reply, answer);
    };
    item.more_scores = {{"strict", [answer = problem.answer](std::string_view reply) {
                           return score_gsm8k_strict(reply, answer);
                         }}};
    return item;
  });
  task.scores = {"score", "strict"};
  return task;
}

}  // namespace longgen
