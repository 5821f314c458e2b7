#include "longgen/data/compose/question_writer.h"

#include <array>

#include "longgen/data/compose/wording.h"

namespace longgen {

struct QuestionWriter::Layout {
  std::string_view before_question, before_answer, after_answer;
};

namespace {

constexpr auto kLeads = std::to_array<std::string_view>({
    "Questions on the text:",
    "What follows asks about the pages before it.",
    "Each answer below can be found in the foregoing pages.",
    "Answer each of these from the text alone.",
    "Now some questions about what was read.",
    "Look back as far as you need to, and answer.",
    "The reader is asked:",
    "For the attentive reader:",
});

// The answer stands in place of {}; half of all documents give it alone.
constexpr auto kReplies = std::to_array<std::string_view>({
    "It is {}.",
    "The text gives {}.",
    "As the text has it: {}.",
    "That would be {}.",
    "{}, by what stands above.",
    "We read of {}.",
});

}  // namespace

QuestionWriter::QuestionWriter(Draw& draw)
    : layout_([&]() -> const Layout& {
        // A number stands in place of #.
        static constexpr auto kLayouts = std::to_array<Layout>({
            {"Question: ", "\nAnswer: ", "\n\n"},
            {"Q: ", "\nA: ", "\n\n"},
            {"#. ", "\n", "\n\n"},
            {"#) ", " ", "\n"},
            {"- ", "\n  ", "\n"},
            {"", "\n> ", "\n\n"},
            {"### ", "\n\n", "\n\n"},
            {"Asked: ", " Answered: ", "\n"},
        });
        return draw.pick(kLayouts);
      }()),
      reply_(draw.chance(50) ? "{}" : draw.pick(kReplies)) {
  if (draw.chance(70)) result_.text.append(draw.pick(kLeads)).append("\n\n");
}

void QuestionWriter::ask(std::string_view question, std::string_view answer, bool worded) {
  const std::string_view reply = worded ? reply_ : "{}";
  const size_t blank = reply.find("{}");
  MarkedText marked{std::string(reply.substr(0, blank)), {{blank, blank + answer.size()}}};
  marked.text.append(answer).append(reply.substr(blank + 2));
  ask(question, marked);
}

void QuestionWriter::ask(std::string_view question, const MarkedText& answer) {
  std::string& text = result_.text;
  ++num_questions_;
  for (const char c : layout_.before_question) {
    if (c == '#' && layout_.before_question != "### ") {
      text += std::to_string(num_questions_);
    } else {
      text += c;
    }
  }
  text.append(question).append(layout_.before_answer);
  for (const auto& [begin, end] : answer.answers) {
    result_.answers.push_back({text.size() + begin, text.size() + end});
  }
  text.append(answer.text).append(layout_.after_answer);
}

MarkedText QuestionWriter::finish() {
  std::string& text = result_.text;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.pop_back();
  return std::move(result_);
}

}  // namespace longgen
