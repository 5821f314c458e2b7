// Facts spread over several places that only together answer a question: counted, added up,
// compared, put in order, joined.
#include <algorithm>
#include <numeric>

#include "longgen/data/compose/joining_wordings.h"
#include "longgen/data/compose/question_writer.h"
#include "longgen/data/compose/task.h"
#include "longgen/data/compose/wording.h"

namespace longgen {
namespace {

/// Facts in the order in which they must stand, and the question about them.
struct Story {
  std::vector<std::string> facts;
  std::string question, answer;
};

Story visits_to_a_mill(Draw& draw) {
  const std::string person = draw.fresh(Kind::person), place = draw.fresh(Kind::place);
  Story story;
  int64_t sum = 0;
  const int64_t num_visits = draw.between(2, 6);
  for (int64_t i = 0; i < num_visits; ++i) {
    const int64_t amount = draw.between(3, 40);
    sum += amount;
    story.facts.push_back(
        fill(draw.pick(kVisitWordings),
             {{"person", person}, {"place", place}, {"amount", std::to_string(amount)}}));
  }
  const bool count = draw.chance(60);
  story.question = fill(count ? draw.pick(kCountQuestions) : draw.pick(kSumQuestions),
                        {{"person", person}, {"place", place}});
  story.answer = std::to_string(count ? num_visits : sum);
  return story;
}

Story weights(Draw& draw) {
  Story story;
  const auto num_items = static_cast<size_t>(draw.between(2, 5));
  std::vector<int64_t> amounts;
  std::vector<std::string> items;
  for (const size_t step : draw.choose(num_items, 60)) {  // no two weigh the same
    amounts.push_back(9 + 7 * static_cast<int64_t>(step) + draw.between(0, 6));
    items.push_back(draw.fresh(Kind::item));
    story.facts.push_back(
        fill(draw.pick(kWeightWordings),
             {{"item", items.back()}, {"amount", std::to_string(amounts.back())}}));
  }
  std::vector<size_t> order(num_items);
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return amounts[i]; });
  const std::string all = listed(items, "the ");
  const auto ask = [&](std::string_view wording, const std::string& answer) {
    story.question = fill(wording, {{"items", all}});
    story.answer = answer;
  };
  std::vector<std::string> sorted;
  for (const size_t i : order) sorted.push_back(items[i]);
  switch (draw.between(0, 2)) {
    case 0:
      ask(draw.pick(kHeaviestQuestions), "the " + sorted.back());
      break;
    case 1:
      ask(draw.pick(kLightestQuestions), "the " + sorted.front());
      break;
    default:
      ask(draw.pick(kOrderQuestions), listed(sorted, "the "));
  }
  return story;
}

Story journey(Draw& draw) {
  Story story;
  const std::string person = draw.fresh(Kind::person);
  std::vector<std::string> towns;
  const int64_t num_towns = draw.between(3, 6);
  for (int64_t i = 0; i < num_towns; ++i) {
    towns.push_back(draw.fresh(Kind::place));
    story.facts.push_back(
        fill(draw.pick(kTownWordings), {{"person", person}, {"place", towns.back()}}));
  }
  if (draw.chance(60)) {
    story.question = fill(draw.pick(kRouteQuestions), {{"person", person}});
    story.answer = listed(towns);
  } else {
    const auto i = static_cast<size_t>(draw.between(0, num_towns - 2));
    story.question = fill(draw.pick(kNextTownQuestions), {{"person", person}, {"place", towns[i]}});
    story.answer = towns[i + 1];
  }
  return story;
}

Story keeper(Draw& draw) {
  const std::string item = draw.fresh(Kind::item), person = draw.fresh(Kind::person),
                    place = draw.fresh(Kind::place), owner = draw.fresh(Kind::person);
  Story story;
  story.facts = {fill(draw.pick(kKeeperWordings), {{"item", item}, {"person", person}}),
                 fill(draw.pick(kHomeWordings), {{"person", person}, {"place", place}}),
                 fill(draw.pick(kLandWordings), {{"place", place}, {"person", owner}})};
  draw.shuffle(story.facts);
  const bool where = draw.chance(60);
  story.question =
      fill(where ? draw.pick(kWhereQuestions) : draw.pick(kLandQuestions), {{"item", item}});
  story.answer = where ? place : owner;
  return story;
}

constexpr int64_t kStoryBytes = 450;  // about what one takes with its question
constexpr int64_t kMaxStories = 10;

}  // namespace

std::optional<TaskText> make_joining(const Scene& scene, Draw& draw) {
  constexpr auto kTellers =
      std::to_array<Story (*)(Draw&)>({visits_to_a_mill, weights, journey, keeper});
  const int64_t most = std::clamp<int64_t>(scene.budget_bytes / kStoryBytes, 1, kMaxStories);
  const int64_t num_stories = draw.between((most + 1) / 2, most);
  std::vector<Story> stories;
  for (int64_t i = 0; i < num_stories; ++i) stories.push_back(draw.pick(kTellers)(draw));
  std::vector<std::vector<std::string>> facts;
  for (Story& story : stories) facts.push_back(std::move(story.facts));
  TaskText task;
  for (std::string& fact : draw.interleave(std::move(facts))) {
    task.passages.push_back({std::move(fact)});
  }
  draw.shuffle(stories);
  QuestionWriter questions(draw);
  for (const Story& story : stories) questions.ask(story.question, story.answer);
  task.questions = questions.finish();
  task.new_words = draw.drawn();
  return task;
}

}  // namespace longgen
