// data/compose/question_writer.h: questions with their answers, in one of several layouts.
#pragma once

#include <string>
#include <string_view>

#include "longgen/data/compose/task.h"

namespace longgen {

class QuestionWriter {
 public:
  /// Draws a layout, a line that leads to the questions, or none, and the words around an answer.
  explicit QuestionWriter(Draw& draw);

  /// Appends a question and its answer. `worded`: the answer may stand in a sentence of its own.
  void ask(std::string_view question, std::string_view answer, bool worded = true);

  /// Appends a question and an answer that is worded and marked already.
  void ask(std::string_view question, const MarkedText& answer);

  /// Returns everything asked, without white space at its end.
  MarkedText finish();

 private:
  struct Layout;

  const Layout& layout_;
  std::string_view reply_;
  MarkedText result_;
  int64_t num_questions_ = 0;
};

}  // namespace longgen
