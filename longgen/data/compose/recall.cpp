// Facts with a key and a value, far apart, of which some are asked for.
#include <algorithm>

#include "longgen/data/compose/question_writer.h"
#include "longgen/data/compose/recall_wordings.h"
#include "longgen/data/compose/task.h"
#include "longgen/data/compose/wording.h"

namespace longgen {
namespace {

// About what a statement and a question with its answer take.
constexpr int64_t kFactBytes = 90, kQuestionBytes = 90;
constexpr int64_t kMaxFacts = 60, kMaxQuestions = 8;

struct Fact {
  const Relation* relation;
  std::string key, value;
};

}  // namespace

std::optional<TaskText> make_recall(const Scene& scene, Draw& draw) {
  const int64_t most_questions =
      std::clamp<int64_t>(scene.budget_bytes / (4 * kQuestionBytes), 1, kMaxQuestions);
  const int64_t num_questions = draw.between((most_questions + 1) / 2, most_questions);
  const int64_t room = scene.budget_bytes - num_questions * kQuestionBytes;
  const int64_t most_facts = std::clamp<int64_t>(room / kFactBytes, num_questions, kMaxFacts);
  const int64_t num_facts = draw.between(num_questions, most_facts);

  // Facts of few relations are easily taken for one another, facts of many are not: both occur.
  const std::vector<size_t> relations =
      draw.choose(static_cast<size_t>(draw.between(1, kRelations.size())), kRelations.size());
  TaskText task;
  std::vector<Fact> facts;
  for (int64_t i = 0; i < num_facts; ++i) {
    const Relation& relation = kRelations[draw.pick(relations)];
    std::string key = draw.fresh(relation.key);
    facts.push_back({&relation, std::move(key), draw.fresh(relation.value)});
    const Fact& fact = facts.back();
    task.passages.push_back(
        {fill(draw.pick(relation.statements), {{"key", fact.key}, {"value", fact.value}})});
  }
  QuestionWriter questions(draw);
  for (const size_t i : draw.choose(static_cast<size_t>(num_questions), facts.size())) {
    const Fact& fact = facts[i];
    questions.ask(fill(draw.pick(fact.relation->questions), {{"key", fact.key}}), fact.value);
  }
  task.questions = questions.finish();
  task.new_words = draw.drawn();
  return task;
}

}  // namespace longgen
