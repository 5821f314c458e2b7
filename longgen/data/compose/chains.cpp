// Values given to names and handed on over several hops, in several chains at once.
#include <algorithm>

#include "longgen/data/compose/chain_wordings.h"
#include "longgen/data/compose/question_writer.h"
#include "longgen/data/compose/task.h"
#include "longgen/data/compose/wording.h"

namespace longgen {
namespace {

constexpr int64_t kStepBytes = 50, kQuestionBytes = 80;
constexpr int64_t kMaxChains = 6, kMaxHops = 7;

/// A value and the names that come to hold it, the one that is given it first.
struct Chain {
  std::string value;
  std::vector<std::string> names;
};

std::vector<std::string> steps_of(const Chain& chain, Draw& draw) {
  std::vector<std::string> steps = {
      fill(draw.pick(kStartWordings), {{"to", chain.names[0]}, {"value", chain.value}})};
  for (size_t i = 1; i < chain.names.size(); ++i) {
    steps.push_back(
        fill(draw.pick(kHopWordings), {{"from", chain.names[i - 1]}, {"to", chain.names[i]}}));
  }
  return steps;
}

void ask_about(const Chain& chain, bool for_holders, Draw& draw, QuestionWriter& questions) {
  if (for_holders) {
    questions.ask(fill(draw.pick(kHolderQuestions), {{"value", chain.value}}), listed(chain.names));
    return;
  }
  // Mostly the end of the chain; a name inside it where the hops are to be counted rightly.
  const std::string& name = draw.chance(75) ? chain.names.back() : draw.pick(chain.names);
  questions.ask(fill(draw.pick(kEndQuestions), {{"name", name}}), chain.value);
}

}  // namespace

std::optional<TaskText> make_chains(const Scene& scene, Draw& draw) {
  const int64_t most_steps = std::max<int64_t>(scene.budget_bytes / kStepBytes, 4);
  const int64_t most_chains = std::clamp<int64_t>(most_steps / 5, 1, kMaxChains);
  const int64_t num_chains = draw.between(std::min<int64_t>(2, most_chains), most_chains);
  const int64_t room = scene.budget_bytes - num_chains * kQuestionBytes;
  const int64_t most_hops = std::clamp<int64_t>(room / kStepBytes / num_chains - 1, 1, kMaxHops);
  std::vector<Chain> chains;
  std::vector<std::vector<std::string>> steps;
  for (int64_t i = 0; i < num_chains; ++i) {
    Chain chain{draw.fresh(Kind::number), {}};
    const int64_t num_hops = draw.between((most_hops + 1) / 2, most_hops);
    for (int64_t j = 0; j <= num_hops; ++j) chain.names.push_back(draw.fresh(Kind::coined));
    steps.push_back(steps_of(chain, draw));
    chains.push_back(std::move(chain));
  }
  TaskText task;
  for (std::string& step : draw.interleave(std::move(steps))) {
    task.passages.push_back({std::move(step)});
  }
  QuestionWriter questions(draw);
  const size_t listed_chain = draw.chance(50) ? draw.choose(1, chains.size())[0] : chains.size();
  for (const size_t i : draw.choose(chains.size(), chains.size())) {
    ask_about(chains[i], i == listed_chain, draw, questions);
  }
  task.questions = questions.finish();
  task.new_words = draw.drawn();
  return task;
}

}  // namespace longgen
