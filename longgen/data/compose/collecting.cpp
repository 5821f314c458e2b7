// Questions with several answers: all that one key has, stated in places far apart, or one value of
// each of several keys; among keys that are easily taken for one another.
#include <algorithm>
#include <utility>

#include "longgen/data/compose/collecting_wordings.h"
#include "longgen/data/compose/question_writer.h"
#include "longgen/data/compose/task.h"
#include "longgen/data/compose/wording.h"

namespace longgen {
namespace {

constexpr size_t kMaxAttributes = 5;
constexpr int64_t kMinValues = 2, kMaxValues = 6, kMaxQuestions = 8;
// About what a question of two answers takes with its facts, and what each further answer adds.
constexpr int64_t kQuestionBytes = 420, kMoreBytes = 150;

/// A key and all that it has of something, in the order of the text.
struct Holder {
  const Attribute* attribute;
  std::string key;
  std::vector<std::string> values;

  std::string called() const { return fill(attribute->called, {{"key", key}}); }
};

struct Question {
  std::string text;
  MarkedText answer;
};

/// Returns the bytes that usual words with as many tokens take: digits have more tokens.
int64_t usual_bytes(std::string_view text) {
  constexpr int64_t kDigitBytes = 3;
  const int64_t num_digits =
      std::ranges::count_if(text, [](char c) { return c >= '0' && c <= '9'; });
  return std::ssize(text) + (kDigitBytes - 1) * num_digits;
}

/// The facts of a document, while they are drawn.
class Facts {
 public:
  explicit Facts(Draw& draw) : draw_(draw) {}

  Holder add(const Attribute& attribute, std::string key, int64_t num_values);
  /// Adds what is easily taken for the holder's values: those of a key that is written much alike,
  /// or something else that the key has.
  void add_near(const Holder& holder);
  int64_t bytes() const { return bytes_; }
  /// Returns the statements; those of a key are spread over all of the text.
  std::vector<Passage> passages();

 private:
  struct Statement {
    int64_t place;  // from 0 to kTextEnd
    std::string text;
  };
  static constexpr int64_t kTextEnd = int64_t{1} << 40;

  Draw& draw_;
  std::vector<Statement> statements_;
  std::vector<std::pair<const Attribute*, std::string>> told_;
  int64_t bytes_ = 0;
};

Holder Facts::add(const Attribute& attribute, std::string key, int64_t num_values) {
  told_.emplace_back(&attribute, key);
  Holder holder{&attribute, std::move(key), {}};
  // Each value stands anywhere in a stretch of its own: far apart, and in the order drawn.
  const int64_t stretch = kTextEnd / num_values;
  for (int64_t i = 0; i < num_values; ++i) {
    holder.values.push_back(draw_.fresh(attribute.value));
    const bool further = i > 0 && draw_.chance(40);
    const std::string_view wording =
        further ? draw_.pick(attribute.further) : draw_.pick(attribute.statements);
    const int64_t place = i * stretch + draw_.between(0, stretch - 1);
    statements_.push_back(
        {place, fill(wording, {{"key", holder.key}, {"value", holder.values.back()}})});
    bytes_ += usual_bytes(statements_.back().text);
  }
  return holder;
}

void Facts::add_near(const Holder& holder) {
  std::vector<const Attribute*> others;
  for (const Attribute& other : kAttributes) {
    const bool told = std::ranges::find(told_, std::pair(&other, holder.key)) != told_.end();
    if (other.key == holder.attribute->key && !told) others.push_back(&other);
  }
  if (others.empty() || draw_.chance(75)) {
    const int64_t num_values = draw_.between(1, 3);
    add(*holder.attribute, draw_.fresh_like(holder.key, holder.attribute->key), num_values);
  } else {
    const Attribute& other = *draw_.pick(others);
    add(other, holder.key, draw_.between(1, 2));
  }
}

std::vector<Passage> Facts::passages() {
  std::ranges::stable_sort(statements_, {}, &Statement::place);
  std::vector<Passage> passages;
  for (Statement& statement : statements_) passages.push_back({std::move(statement.text)});
  return passages;
}

std::string joined(const std::vector<std::string>& parts, const ListForm& form) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += i + 1 == parts.size() ? form.before_last : form.between;
    text += parts[i];
  }
  return text;
}

/// Writes the values alone or in a sentence: the list as a whole is the answer, because where it
/// ends has to be found in the text, too.
template <typename Replies>
MarkedText listed_answer(const std::vector<std::string>& values, const Replies& replies,
                         std::string_view things, std::string_view key, Draw& draw) {
  const std::string list = joined(values, draw.pick(kListForms));
  const std::string_view reply = draw.chance(50) ? "{values}" : draw.pick(replies);
  MarkedText answer{fill(reply, {{"values", list}, {"things", things}, {"key", key}}), {}};
  const size_t begin = answer.text.find(list);
  answer.answers.push_back({begin, begin + list.size()});
  return answer;
}

/// Writes each value behind the name of its key; the values are the answers.
MarkedText paired_answer(const std::vector<Holder>& holders, Draw& draw) {
  const PairForm& form = draw.pick(kPairForms);
  MarkedText answer;
  for (size_t i = 0; i < holders.size(); ++i) {
    if (i > 0) {
      answer.text += i + 1 == holders.size() ? form.list.before_last : form.list.between;
    }
    answer.text += fill(i == 0 ? "{Key}" : "{key}", {{"key", holders[i].called()}});
    answer.text += form.behind_key;
    const std::string& value = holders[i].values.front();
    answer.answers.push_back({answer.text.size(), answer.text.size() + value.size()});
    answer.text += value;
  }
  answer.text += form.end;
  return answer;
}

Question ask_for_all(const Holder& holder, Draw& draw) {
  const Attribute& attribute = *holder.attribute;
  const std::string_view wording =
      draw.chance(60) ? draw.pick(kAllQuestions) : draw.pick(kOrderedQuestions);
  const std::string key = holder.called();
  return {fill(wording, {{"thing", attribute.thing}, {"things", attribute.things}, {"key", key}}),
          listed_answer(holder.values, kAllReplies, attribute.things, key, draw)};
}

/// Asks for one value of each, which may be different things.
Question ask_for_each(const std::vector<Holder>& holders, Draw& draw) {
  const Attribute& first = *holders.front().attribute;
  std::vector<std::string> keys, wanted, values;
  for (const Holder& holder : holders) {
    keys.push_back(holder.called());
    wanted.push_back("the " + std::string(holder.attribute->thing) + " of " + keys.back());
    values.push_back(holder.values.front());
  }
  const bool all_alike = std::ranges::all_of(
      holders, [&](const Holder& holder) { return holder.attribute == &first; });
  const std::string_view wording =
      all_alike && draw.chance(80) ? draw.pick(kEachQuestions) : draw.pick(kWantedQuestions);
  return {fill(wording, {{"thing", first.thing},
                         {"things", first.things},
                         {"keys", listed(keys)},
                         {"wanted", listed(wanted)}}),
          draw.chance(60) ? listed_answer(values, kEachReplies, first.things, keys.front(), draw)
                          : paired_answer(holders, draw)};
}

/// Draws facts and a question about them, and adds to `asked` whom it asks about.
Question draw_question(const std::vector<size_t>& attributes, int64_t num_values, Facts& facts,
                       std::vector<Holder>& asked, Draw& draw) {
  const auto add = [&](const Attribute& attribute, int64_t count) {
    return facts.add(attribute, draw.fresh(attribute.key), count);
  };
  const Attribute* attribute = &kAttributes[draw.pick(attributes)];
  if (draw.chance(50)) {
    asked.push_back(add(*attribute, num_values));
    return ask_for_all(asked.back(), draw);
  }
  const bool mixed = draw.chance(40);
  std::vector<Holder> holders;
  for (int64_t i = 0; i < num_values; ++i) {
    if (mixed) attribute = &kAttributes[draw.pick(attributes)];
    holders.push_back(add(*attribute, 1));
  }
  asked.insert(asked.end(), holders.begin(), holders.end());
  return ask_for_each(holders, draw);
}

}  // namespace

std::optional<TaskText> make_collecting(const Scene& scene, Draw& draw) {
  const int64_t budget = scene.budget_bytes;
  const int64_t most_questions =
      std::clamp<int64_t>(budget / (2 * kQuestionBytes), 1, kMaxQuestions);
  const int64_t num_questions = draw.between((most_questions + 1) / 2, most_questions);
  const int64_t room = budget * 2 / 3 / num_questions - kQuestionBytes;
  const int64_t most_values =
      std::clamp<int64_t>(kMinValues + room / kMoreBytes, kMinValues, kMaxValues);

  // Facts of few attributes are easily taken for one another, facts of many are not: both occur.
  const auto num_attributes = static_cast<size_t>(draw.between(1, kMaxAttributes));
  const std::vector<size_t> attributes = draw.choose(num_attributes, kAttributes.size());
  Facts facts(draw);
  std::vector<Holder> asked;
  QuestionWriter questions(draw);
  int64_t question_bytes = 0;
  for (int64_t i = 0; i < num_questions; ++i) {
    const int64_t num_values = draw.between(kMinValues, most_values);
    const Question question = draw_question(attributes, num_values, facts, asked, draw);
    question_bytes += std::ssize(question.text) + usual_bytes(question.answer.text);
    questions.ask(question.text, question.answer);
  }
  const int64_t left = std::max<int64_t>(budget - question_bytes - facts.bytes(), 0);
  const int64_t wanted = facts.bytes() + draw.between(0, left);
  while (facts.bytes() + kMoreBytes < wanted) facts.add_near(draw.pick(asked));

  TaskText task;
  task.passages = facts.passages();
  task.questions = questions.finish();
  task.new_words = draw.drawn();
  return task;
}

}  // namespace longgen
