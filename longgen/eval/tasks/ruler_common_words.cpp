// The wording is the benchmark's definition, word for word, from https://github.com/NVIDIA/RULER,
// scripts/data/synthetic/common_words_extraction.py and constants.py (Copyright (c) 2024, NVIDIA
// CORPORATION, Apache License 2.0).
#include <algorithm>
#include <set>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/eval/answer_score.h"
#include "longgen/eval/tasks/ruler_item.h"
#include "longgen/eval/tasks/ruler_words.h"

namespace longgen {
namespace {

constexpr const char* kName = "cwe";
constexpr int64_t kNewTokens = 120;
constexpr int64_t kNumCommon = 10;
constexpr const char* kAnswerPrefix =
    " Answer: The top 10 words that appear most often in the list are:";
// A reference that every reply holds, such as "a", would always count as found.
constexpr size_t kMinOtherLetters = 4;

/// How often the common words and the others stand in a list.
struct Repeats {
  int64_t common, other;
};

/// A list of words, which of it the example has, and how often.
struct Sizes {
  int64_t num_example_words;
  Repeats example, list;
};

Sizes sizes_for(int64_t length_tokens) {
  if (length_tokens < 4096) return {20, {3, 1}, {6, 1}};
  return {40, {10, 3}, {30, 3}};
}

std::string question(const std::string& list) {
  return "Below is a numbered list of words. In these words, some appear more often than others. "
         "Memorize the ones that appear most often.\n" +
         list + "\nQuestion: What are the 10 most common words in the above list?";
}

/// Words, and how many tokens each takes after a space, counted when first asked for.
class WordList {
 public:
  WordList(const Tokenizer& tokenizer, std::vector<std::string> words)
      : tokenizer_(&tokenizer), words_(std::move(words)), tokens_(words_.size(), 0) {}

  int64_t size() const { return static_cast<int64_t>(words_.size()); }
  const std::string& word(int64_t i) const { return words_[static_cast<size_t>(i)]; }

  int64_t tokens(int64_t i) {
    int32_t& tokens = tokens_[static_cast<size_t>(i)];
    if (tokens == 0) tokens = static_cast<int32_t>(tokenizer_->encode(" " + word(i)).size());
    return tokens;
  }

 private:
  const Tokenizer* tokenizer_;
  std::vector<std::string> words_;
  std::vector<int32_t> tokens_;
};

/// Writes "1. word 2. word ..." of the first num_words in `order`, in an order drawn by the key.
std::string numbered_list(const WordList& words, const std::vector<int64_t>& order,
                          int64_t num_words, const Repeats& repeats, uint64_t key) {
  std::vector<int64_t> entries;
  for (int64_t i = 0; i < num_words; ++i) {
    const int64_t times = i < kNumCommon ? repeats.common : repeats.other;
    entries.insert(entries.end(), static_cast<size_t>(times), order[static_cast<size_t>(i)]);
  }
  std::string text;
  int64_t number = 0;
  for (const int64_t i : shuffled(static_cast<int64_t>(entries.size()), key)) {
    if (number > 0) text += ' ';
    text += std::to_string(++number) + ". " + words.word(entries[static_cast<size_t>(i)]);
  }
  return text;
}

class CommonWordsTask : public LongTask {
 public:
  explicit CommonWordsTask(std::shared_ptr<const TaskMaterial> material)
      : material_(std::move(material)),
        words_(material_->tokenizer(), ruler_words()),
        others_(material_->tokenizer(), {}) {}

  std::string name() const override { return kName; }

  GenerationItem item(int64_t length_tokens, int64_t index) const override {
    check_sample(kName, length_tokens, index);
    const uint64_t key = material_->key(kName, length_tokens, index);
    std::vector<int64_t> order = shuffled(words_.size(), key);
    const WordList* words = &words_;
    PromptFitter::Fitted fitted = fill(words_, order, length_tokens, key);
    if (kNumCommon + fitted.num_pieces == words_.size()) {  // they do not reach
      if (others_.size() == 0) others_ = WordList(material_->tokenizer(), other_words());
      words = &others_;
      order = shuffled(others_.size(), key);
      fitted = fill(others_, order, length_tokens, key);
    }
    std::vector<std::string> common;
    for (int64_t i = 0; i < kNumCommon; ++i) {
      common.push_back(words->word(order[static_cast<size_t>(i)]));
    }
    return ruler_item(sample_id(length_tokens, index), std::move(fitted.text), std::move(common),
                      kNewTokens, score_all_answers);
  }

 private:
  /// Returns nouns, adjectives and verbs, each word once.
  std::vector<std::string> ruler_words() const {
    std::set<std::string> words;
    for (const char* list : {"nounlist.txt", "adjectivelist.txt", "verblist.txt"}) {
      for (std::string& word : material_->words(fs::path("words") / list)) {
        words.insert(std::move(word));
      }
    }
    const auto at_least = static_cast<size_t>(sizes_for(4096).num_example_words);
    LG_CHECK(words.size() >= at_least, (material_->options().folder / "words").string(),
             ": expected at least ", at_least, " different words, found ", words.size(), ".");
    return {words.begin(), words.end()};
  }

  /// Returns the words of the larger list that are no shorter than kMinOtherLetters.
  std::vector<std::string> other_words() const {
    std::vector<std::string> words = material_->words("words/words_alpha.txt");
    std::erase_if(words, [](const std::string& word) { return word.size() < kMinOtherLetters; });
    LG_CHECK(static_cast<int64_t>(words.size()) > kNumCommon,
             (material_->options().folder / "words/words_alpha.txt").string(),
             ": expected more than ", kNumCommon, " words of at least ", kMinOtherLetters,
             " letters, found ", words.size(), ".");
    return words;
  }

  /// Writes a short question of the same kind with its answer.
  std::string example(const Sizes& sizes, uint64_t key) const {
    const std::vector<int64_t> order = shuffled(words_.size(), key);
    std::string text =
        question(numbered_list(words_, order, sizes.num_example_words, sizes.example, key)) +
        kAnswerPrefix;
    for (int64_t i = 0; i < kNumCommon; ++i) {
      text += " " + std::to_string(i + 1) + ". " + words_.word(order[static_cast<size_t>(i)]);
    }
    return text;
  }

  PromptFitter::Fitted fill(WordList& words, const std::vector<int64_t>& order,
                            int64_t length_tokens, uint64_t key) const {
    const Sizes sizes = sizes_for(length_tokens);
    const std::string shown = example(sizes, mix_pair(key, 1));
    // One more word is as many more entries, whose numbers take tokens, too.
    const auto next = [&, taken = kNumCommon]() mutable -> std::optional<Piece> {
      if (taken == words.size()) return std::nullopt;
      int64_t tokens = sizes.list.other * words.tokens(order[static_cast<size_t>(taken)]);
      const int64_t entries =
          kNumCommon * sizes.list.common + (taken - kNumCommon) * sizes.list.other;
      for (int64_t i = 1; i <= sizes.list.other; ++i) tokens += number_tokens(entries + i);
      ++taken;
      return Piece{"", tokens};
    };
    Passage more(next, "");
    return material_->fitter().fit(
        {kName, length_tokens, kNewTokens},
        [&](int64_t max_tokens) { return more.most(max_tokens); },
        [&](int64_t num_others) {
          const std::string list =
              numbered_list(words, order, kNumCommon + num_others, sizes.list, mix_pair(key, 2));
          return PromptText{shown + "\n" + question(list), kAnswerPrefix};
        });
  }

  /// Returns the tokens of " 12.".
  int64_t number_tokens(int64_t number) const {
    for (auto i = static_cast<int64_t>(number_tokens_.size()); i <= number; ++i) {
      const std::string text = " " + std::to_string(i) + ".";
      number_tokens_.push_back(static_cast<int32_t>(material_->tokenizer().encode(text).size()));
    }
    return number_tokens_[static_cast<size_t>(number)];
  }

  std::shared_ptr<const TaskMaterial> material_;
  mutable WordList words_, others_;
  mutable std::vector<int32_t> number_tokens_;
};

}  // namespace

std::unique_ptr<LongTask> make_common_words_task(std::shared_ptr<const TaskMaterial> material) {
  return std::make_unique<CommonWordsTask>(std::move(material));
}

}  // namespace longgen
