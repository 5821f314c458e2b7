#include "longgen/eval/tasks/babilong.h"

#include <algorithm>
#include <set>
#include <utility>

#include "longgen/base/ascii.h"
#include "longgen/base/check.h"
#include "longgen/eval/tasks/babi_stories.h"

namespace longgen {
namespace {

constexpr int64_t kNewTokens = 20;
constexpr int64_t kMinSentenceTokens = 10;  // shorter ones are no background in BABILong
constexpr double kFractionSteps = 1 << 20;

/// Returns the labels in a text of small letters.
std::set<std::string> labels_in(std::string text, std::span<const std::string> labels) {
  std::vector<std::string> longest_first(labels.begin(), labels.end());
  std::stable_sort(longest_first.begin(), longest_first.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
  std::set<std::string> found;
  for (const std::string& label : longest_first) {
    for (size_t at = text.find(label); at != std::string::npos; at = text.find(label, at)) {
      text.replace(at, label.size(), label.size(), ' ');
      found.insert(label);
    }
  }
  return found;
}

std::vector<std::string> split_answer(const std::string& answer) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= answer.size();) {
    const size_t end = std::min(answer.find(',', at), answer.size());
    parts.push_back(ascii_lower(std::string_view(answer).substr(at, end - at)));
    at = end + 1;
  }
  return parts;
}

/// Returns what of a reply counts: its first sentence, without examples that the model goes on to
/// make up.
std::string first_sentence(std::string_view reply) {
  std::string text = ascii_lower(reply);
  for (const char* end : {".", "<context>", "<example>"})
    text.resize(std::min(text.find(end), text.size()));
  return text;
}

/// Returns the file of a task's questions. bAbI has the same ones to test with in both folders.
fs::path babi_file(const TaskMaterial& material, const std::string& task) {
  const std::string number = task.substr(std::string("babilong_").size());
  for (const char* folder : {"babi/en-10k", "babi/en"}) {
    const fs::path path = material.options().folder / folder;
    if (!fs::is_directory(path)) continue;
    for (const fs::path& file : list_files(path)) {
      const std::string name = file.filename().string();
      if (name.starts_with(number + "_") && name.ends_with("_test.txt")) return file;
    }
  }
  return material.file("babi/en-10k/" + number + "_*_test.txt",
                       "questions of the bAbI tasks (v1.2), here or in babi/en");
}

class BabilongTask : public LongTask {
 public:
  BabilongTask(const BabilongPrompt& prompt, std::shared_ptr<const TaskMaterial> material)
      : prompt_(prompt), material_(std::move(material)) {
    const fs::path path = babi_file(*material_, prompt_.name);
    stories_ = BabiStories::read(path);
    for (const BabiQuestion& question : stories_.questions()) {
      for (const std::string& part : split_answer(question.answer)) {
        const auto& labels = prompt_.labels;
        LG_CHECK(std::find(labels.begin(), labels.end(), part) != labels.end(), path.string(),
                 ": expected answers of ", prompt_.name, ", such as \"", labels[0], "\", found \"",
                 question.answer, "\" to \"", question.text, "\".");
      }
    }
    const auto num_questions = static_cast<int64_t>(stories_.questions().size());
    order_ = shuffled(num_questions, material_->key(prompt_.name));
    shortest_tokens_.resize(order_.size(), 0);
  }

  std::string name() const override { return prompt_.name; }

  GenerationItem item(int64_t length_tokens, int64_t index) const override {
    if (length_tokens != 0) check_sample(name(), length_tokens, index);
    LG_CHECK(index >= 0, "[", name(), "] sample index: expected at least 0, found ", index, ".");
    const BabiQuestion& question = question_for(length_tokens, index);
    PromptText text = length_tokens == 0 ? ask(question, joined_facts(question))
                                         : fill(question, length_tokens, index);
    GenerationItem item;
    item.id = sample_id(length_tokens, index);
    item.prompt = std::move(text.prompt);
    item.references = {question.answer};
    item.new_tokens = kNewTokens;
    item.score = [question = question.text, answer = question.answer,
                  labels = prompt_.labels](std::string_view reply) {
      return score_babilong(reply, question, answer, labels);
    };
    return item;
  }

 private:
  PromptText ask(const BabiQuestion& question, const std::string& context) const {
    return babilong_question(prompt_, context, question.text);
  }

  std::string joined_facts(const BabiQuestion& question) const {
    std::string text;
    for (const std::string& fact : stories_.facts(question)) {
      if (!text.empty()) text += ' ';
      text += fact;
    }
    return text;
  }

  /// Returns the tokens that a question takes with its facts alone and the reply.
  int64_t shortest_tokens(size_t number) const {
    int64_t& tokens = shortest_tokens_[number];
    if (tokens == 0) {
      const BabiQuestion& question = stories_.questions()[number];
      const PromptFitter& fitter = material_->fitter();
      const PromptText text = ask(question, joined_facts(question));
      tokens =
          static_cast<int64_t>(fitter.encode(fitter.wrapped(text, name())).size()) + kNewTokens;
    }
    return tokens;
  }

  /// Returns the question of an index among those whose facts the length can hold.
  const BabiQuestion& question_for(int64_t length_tokens, int64_t index) const {
    int64_t num_fitting = 0, shortest = INT64_MAX;
    for (;;) {
      for (const int64_t number : order_) {
        const auto at = static_cast<size_t>(number);
        if (length_tokens != 0) {
          shortest = std::min(shortest, shortest_tokens(at));
          if (shortest_tokens(at) > length_tokens) continue;
        }
        if (num_fitting++ == index) return stories_.questions()[at];
      }
      LG_CHECK(num_fitting > 0, "[", name(), "] length: expected at least ", shortest,
               " tokens, which the shortest question takes with its facts and the reply, found ",
               length_tokens, ". Choose a longer length.");
      index %= num_fitting;
      num_fitting = 0;
    }
  }

  PromptText fill(const BabiQuestion& question, int64_t length_tokens, int64_t index) const {
    RandomStream random(material_->key(name(), length_tokens, index));
    const CountedHaystack& text = material_->text();
    const auto num_sentences = static_cast<uint64_t>(text.haystack().num_sentences());
    Passage sentences =
        text.passage(static_cast<int64_t>(random.below(num_sentences)), kMinSentenceTokens);
    const std::span<const std::string> facts = stories_.facts(question);
    std::vector<double> depths;  // of the facts, 0 to 1
    for (size_t i = 0; i < facts.size(); ++i) {
      depths.push_back(static_cast<double>(random.below(1 << 20)) / kFractionSteps);
    }
    std::sort(depths.begin(), depths.end());
    const auto compose = [&](int64_t count) {
      std::vector<Insertion> insertions;
      for (size_t i = 0; i < facts.size(); ++i) {
        insertions.push_back(
            {static_cast<int64_t>(depths[i] * static_cast<double>(count + 1)), facts[i]});
      }
      return ask(question, sentences.text(count, insertions));
    };
    return material_->fitter()
        .fit(
            {name(), length_tokens, kNewTokens},
            [&](int64_t max_tokens) { return sentences.most(max_tokens); }, compose)
        .text;
  }

  BabilongPrompt prompt_;
  std::shared_ptr<const TaskMaterial> material_;
  BabiStories stories_;
  std::vector<int64_t> order_;                    // of the questions
  mutable std::vector<int64_t> shortest_tokens_;  // of each question; 0: not counted
};

}  // namespace

double score_babilong(std::string_view reply, const std::string& question,
                      const std::string& answer, std::span<const std::string> labels) {
  std::set<std::string> found = labels_in(first_sentence(reply), labels);
  for (const std::string& label : labels_in(ascii_lower(question), labels)) found.erase(label);
  const std::vector<std::string> parts = split_answer(answer);
  return found == std::set<std::string>(parts.begin(), parts.end()) ? 1 : 0;
}

std::unique_ptr<LongTask> make_babilong_task(const BabilongPrompt& prompt,
                                             std::shared_ptr<const TaskMaterial> material) {
  return std::make_unique<BabilongTask>(prompt, std::move(material));
}

}  // namespace longgen
