#include "longgen/eval/tasks/babi_stories.h"

#include <charconv>
#include <string_view>

#include "longgen/base/check.h"
#include "longgen/eval/tasks/text_lines.h"

namespace longgen {
BabiStories BabiStories::read(const fs::path& path) {
  BabiStories stories;
  int64_t last = 0;
  size_t story = 0;  // its first fact
  for_each_line(path, [&](std::string_view line, const std::string& where) {
    int64_t number = 0;
    const auto [rest, error] = std::from_chars(line.data(), line.data() + line.size(), number);
    LG_CHECK(error == std::errc() && (number == 1 || (last > 0 && number == last + 1)), where,
             ": expected a line that begins with ",
             last == 0 ? "1" : detail::concat(last + 1, " or 1"), ", found \"", line.substr(0, 40),
             "\". Is this a file of the bAbI tasks?");
    last = number;
    if (number == 1) story = stories.facts_.size();
    const std::string_view said = trimmed(line.substr(static_cast<size_t>(rest - line.data())));
    const size_t tab = said.find_first_of("\t|");
    if (tab == std::string_view::npos) {
      stories.facts_.emplace_back(said);
      return;
    }
    const std::string_view after = said.substr(tab + 1);
    const std::string_view answer = trimmed(after.substr(0, after.find_first_of("\t|")));
    LG_CHECK(!answer.empty(), where,
             ": expected a question, a tab and its answer, found no answer.");
    stories.questions_.push_back({std::string(trimmed(said.substr(0, tab))), std::string(answer),
                                  story, stories.facts_.size()});
  });
  LG_CHECK(!stories.questions_.empty(), path.string(), ": expected questions, found none.");
  return stories;
}

std::span<const std::string> BabiStories::facts(const BabiQuestion& question) const {
  return std::span(facts_).subspan(question.first_fact, question.end_fact - question.first_fact);
}

}  // namespace longgen
