// The wording is the benchmark's definition, word for word, from https://github.com/NVIDIA/RULER,
// scripts/data/synthetic/variable_tracking.py and constants.py (Copyright (c) 2024, NVIDIA
// CORPORATION, Apache License 2.0).
#include "longgen/eval/tasks/ruler_tracking.h"

#include <algorithm>
#include <utility>

#include "longgen/eval/answer_score.h"
#include "longgen/eval/tasks/ruler_item.h"

namespace longgen {
namespace {

constexpr const char* kName = "vt";
constexpr int64_t kNewTokens = 30;
constexpr int64_t kNumHops = 4, kNumVariables = kNumHops + 1;
constexpr int kNameLetters = 5, kExampleNameLetters = 3;
constexpr int64_t kExampleTokens = 500, kMinExampleLines = 5;

std::string join(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

struct Chain {
  std::vector<std::string> variables;
  std::string value;

  /// Writes assignment i; the space at the end of all but the first is RULER's.
  std::string assignment(size_t i) const {
    if (i == 0) return "VAR " + variables[0] + " = " + value;
    return "VAR " + variables[i] + " = VAR " + variables[i - 1] + " ";
  }
};

Chain draw_chain(RandomStream& random, int num_letters) {
  Chain chain;
  while (static_cast<int64_t>(chain.variables.size()) < kNumVariables) {
    std::string name;
    for (int i = 0; i < num_letters; ++i) name += static_cast<char>('A' + random.below(26));
    const auto end = chain.variables.end();
    if (std::find(chain.variables.begin(), end, name) == end) chain.variables.push_back(name);
  }
  chain.value = std::to_string(10'000 + random.below(89'999));
  return chain;
}

/// Puts the chain in order before different lines, drawn at random; where there are fewer lines
/// than assignments, some stand together.
std::vector<Insertion> place(const Chain& chain, int64_t num_lines, uint64_t key) {
  RandomStream random(key);
  std::vector<Insertion> insertions;
  const auto lines = draw_ascending(random, kNumVariables, std::max(num_lines, kNumVariables));
  for (size_t i = 0; i < lines.size(); ++i) {
    insertions.push_back({std::min(lines[i], num_lines), chain.assignment(i)});
  }
  return insertions;
}

PromptText question(const std::string& context, const std::string& value) {
  return {
      "Memorize and track the chain(s) of variable assignment hidden in the following text."
      "\n\n" +
          context + "\nQuestion: Find all variables that are assigned the value " + value +
          " in the text above.",
      " Answer: According to the chain(s) of variable assignment in the text above, " +
          std::to_string(kNumVariables) + " variables are assigned the value " + value +
          ", they are: "};
}

class TrackingTask : public LongTask {
 public:
  explicit TrackingTask(std::shared_ptr<const TaskMaterial> material)
      : material_(std::move(material)) {
    const Tokenizer& tokenizer = material_->tokenizer();
    const std::string_view line = material_->noise().haystack().sentence(0);
    line_tokens_ = added_tokens(tokenizer, "\n", line).value_or(1);
    num_example_lines_ = kMinExampleLines;
    RandomStream random(material_->key(kName));
    const auto shortest = static_cast<int64_t>(tokenizer.encode(example(random)).size());
    num_example_lines_ += std::max<int64_t>(0, kExampleTokens - shortest) / line_tokens_;
  }

  std::string name() const override { return kName; }

  GenerationItem item(int64_t length_tokens, int64_t index) const override {
    check_sample(kName, length_tokens, index);
    RandomStream random(material_->key(kName, length_tokens, index));
    const std::string shown = example(random);
    const Chain chain = draw_chain(random, kNameLetters);
    const uint64_t places = random.next();
    Passage lines = material_->noise().passage(0);
    PromptFitter::Fitted fitted = material_->fitter().fit(
        {kName, length_tokens, kNewTokens},
        [&](int64_t max_tokens) { return lines.most(max_tokens); },
        [&](int64_t num_lines) {
          const std::string context = lines.text(num_lines, place(chain, num_lines, places));
          PromptText text = question(context, chain.value);
          text.prompt = shown + "\n\n" + text.prompt;
          return text;
        });
    return ruler_item(sample_id(length_tokens, index), std::move(fitted.text), chain.variables,
                      kNewTokens, score_all_answers);
  }

 private:
  /// Writes a short question of the same kind with its answer.
  std::string example(RandomStream& random) const {
    const Chain chain = draw_chain(random, kExampleNameLetters);
    Passage lines = material_->noise().passage(0);
    lines.most(line_tokens_ * num_example_lines_);
    const std::string context =
        lines.text(num_example_lines_, place(chain, num_example_lines_, random.next()));
    const PromptText text = question(context, chain.value);
    return text.prompt + text.answer_prefix + " " + join(chain.variables);
  }

  std::shared_ptr<const TaskMaterial> material_;
  int64_t line_tokens_ = 0, num_example_lines_ = 0;
};

}  // namespace

std::unique_ptr<LongTask> make_tracking_task(std::shared_ptr<const TaskMaterial> material) {
  return std::make_unique<TrackingTask>(std::move(material));
}

}  // namespace longgen
