// The wording is the benchmark's definition, word for word, from https://github.com/NVIDIA/RULER,
// scripts/data/synthetic/freq_words_extraction.py and constants.py (Copyright (c) 2024, NVIDIA
// CORPORATION, Apache License 2.0).
#include <numbers>
#include <set>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/eval/answer_score.h"
#include "longgen/eval/tasks/ruler_item.h"
#include "longgen/eval/tasks/ruler_words.h"

namespace longgen {
namespace {

constexpr const char* kName = "fwe";
constexpr int64_t kNewTokens = 50;
constexpr int64_t kTokensPerWord = 50;  // the vocabulary grows by one word each
constexpr int kWordLetters = 6;
constexpr int64_t kNumAsked = 3;
constexpr double kZeta2 = std::numbers::pi * std::numbers::pi / 6;  // Riemann's zeta at alpha = 2

/// Returns how often the word of a rank, 1 or more, stands in a text of about num_words.
int64_t times(int64_t rank, int64_t num_words) {
  return static_cast<int64_t>(static_cast<double>(num_words) /
                              (static_cast<double>(rank) * static_cast<double>(rank) * kZeta2));
}

/// Returns the words by rank: the first is noise.
std::vector<std::string> draw_vocabulary(RandomStream& random, int64_t num_words) {
  std::vector<std::string> words = {"..."};
  std::set<std::string> drawn;
  while (static_cast<int64_t>(words.size()) < num_words) {
    std::string word;
    for (int i = 0; i < kWordLetters; ++i) word += static_cast<char>('a' + random.below(26));
    if (drawn.insert(word).second) words.push_back(std::move(word));
  }
  return words;
}

PromptText question(const std::string& context) {
  return {
      "Read the following coded text and track the frequency of each coded word. Find the "
      "three most frequently appeared coded words. " +
          context +
          "\nQuestion: Do not provide any explanation. Please ignore the dots '....'. What are "
          "the three most frequently appeared words in the above coded text?",
      " Answer: According to the coded text above, the three most frequently appeared words "
      "are:"};
}

std::string coded_text(const std::vector<std::string>& vocabulary, int64_t num_words,
                       uint64_t key) {
  std::vector<size_t> entries;
  for (size_t i = 0; i < vocabulary.size(); ++i) {
    const int64_t count = times(static_cast<int64_t>(i) + 1, num_words);
    entries.insert(entries.end(), static_cast<size_t>(count), i);
  }
  std::string text;
  for (const int64_t i : shuffled(static_cast<int64_t>(entries.size()), key)) {
    if (!text.empty()) text += ' ';
    text += vocabulary[entries[static_cast<size_t>(i)]];
  }
  return text;
}

/// The tokens of texts of one vocabulary.
class CodedTextCount {
 public:
  CodedTextCount(const Tokenizer& tokenizer, const std::vector<std::string>& vocabulary) {
    for (const std::string& word : vocabulary) {
      tokens_.push_back(static_cast<int64_t>(tokenizer.encode(" " + word).size()));
    }
  }

  /// Returns the largest number of words that takes at most max_tokens.
  PieceCount most(int64_t max_tokens) const {
    // Of num_words more than half stand in the text, each a token or more.
    int64_t fits = 0, too_many = 2 * std::max<int64_t>(max_tokens, 1) + 2;
    while (too_many - fits > 1) {
      const int64_t middle = fits + (too_many - fits) / 2;
      (tokens(middle) <= max_tokens ? fits : too_many) = middle;
    }
    return {fits, tokens(fits)};
  }

 private:
  int64_t tokens(int64_t num_words) const {
    int64_t sum = 0;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      const int64_t count = times(static_cast<int64_t>(i) + 1, num_words);
      if (count == 0) break;
      sum += count * tokens_[i];
    }
    return sum;
  }

  std::vector<int64_t> tokens_;
};

class FrequentWordsTask : public LongTask {
 public:
  explicit FrequentWordsTask(std::shared_ptr<const TaskMaterial> material)
      : material_(std::move(material)) {}

  std::string name() const override { return kName; }

  GenerationItem item(int64_t length_tokens, int64_t index) const override {
    check_sample(kName, length_tokens, index);
    RandomStream random(material_->key(kName, length_tokens, index));
    const int64_t vocabulary_size =
        std::max((length_tokens - kNewTokens) / kTokensPerWord, kNumAsked + 2);
    const std::vector<std::string> vocabulary = draw_vocabulary(random, vocabulary_size);
    const CodedTextCount count(material_->tokenizer(), vocabulary);
    const uint64_t order = random.next();
    PromptFitter::Fitted fitted = material_->fitter().fit(
        {kName, length_tokens, kNewTokens},
        [&](int64_t max_tokens) { return count.most(max_tokens); },
        [&](int64_t num_words) { return question(coded_text(vocabulary, num_words, order)); });
    LG_CHECK(times(kNumAsked + 1, fitted.num_pieces) > times(kNumAsked + 2, fitted.num_pieces),
             "[fwe] length: expected enough tokens for the most frequent words to be told from the "
             "others, found ",
             length_tokens, ". Choose a longer length.");
    return ruler_item(sample_id(length_tokens, index), std::move(fitted.text),
                      {vocabulary.begin() + 1, vocabulary.begin() + 1 + kNumAsked}, kNewTokens,
                      score_all_answers);
  }

 private:
  std::shared_ptr<const TaskMaterial> material_;
};

}  // namespace

std::unique_ptr<LongTask> make_frequent_words_task(std::shared_ptr<const TaskMaterial> material) {
  return std::make_unique<FrequentWordsTask>(std::move(material));
}

}  // namespace longgen
