#include "longgen/eval/tasks/ruler_item.h"

#include <utility>

namespace longgen {

GenerationItem ruler_item(const std::string& id, PromptText text,
                          std::vector<std::string> references, int64_t new_tokens,
                          AnswerScore score) {
  GenerationItem item;
  item.id = id;
  item.prompt = std::move(text.prompt);
  item.answer_prefix = std::move(text.answer_prefix);
  item.references = std::move(references);
  item.new_tokens = new_tokens;
  item.score = [score, answers = item.references](std::string_view reply) {
    return score(reply, answers);
  };
  return item;
}

}  // namespace longgen
