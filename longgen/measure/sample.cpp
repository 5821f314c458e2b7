#include "longgen/measure/sample.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "longgen/base/check.h"
#include "longgen/base/random.h"
#include "longgen/base/units.h"
#include "longgen/measure/recall_questions.h"
#include "longgen/measure/variant_values.h"

namespace longgen {
namespace {

// Facts may take this share of the part of the text that they are hidden in.
constexpr int64_t kFactShare = 2;  // one in two tokens
// A fact moves at most this far to stand behind the end of a sentence.
constexpr int64_t kMostTokensToSentenceEnd = 200;

using Ids = std::vector<int32_t>;

/// Returns how many tokens at their beginnings two lists have in common.
int64_t common_tokens(const Ids& a, const Ids& b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

struct Questions {
  Ids ids;
  std::vector<TokenRange> answers;  ///< in `ids`
};

/// Writes the questions with their answers, one after the other. Where an answer's tokens begin and
/// end is seen from the tokens of the text up to there: a tokenizer may join a space with a word.
Questions write_questions(const std::vector<RecallFact>& facts, const Tokenizer& tokenizer) {
  std::string text = "\n\nQuestions about this text, and their answers.\n";
  std::vector<std::pair<std::string, std::string>> parts;  // up to an answer, and with it
  for (const RecallFact& fact : facts) {
    text += "\nQuestion: " + fact.question + "\nAnswer:";
    const std::string before = text;
    text += " " + fact.answer;
    parts.emplace_back(before, text);
    text += "\n";
  }
  const auto encode = [&](const std::string& part) {
    return tokenizer.encode(part, {.add_special_tokens = false, .parse_special = false});
  };
  Questions questions{encode(parts.back().second), {}};
  for (const auto& [before, with_answer] : parts) {
    questions.answers.push_back({common_tokens(questions.ids, encode(before)),
                                 common_tokens(questions.ids, encode(with_answer))});
  }
  return questions;
}

bool ends_sentence(const Tokenizer& tokenizer, int32_t id) {
  const std::string text = tokenizer.decode(std::span(&id, 1));
  return !text.empty() && std::string_view(".!?\n").find(text.back()) != std::string_view::npos;
}

class SampleMaker {
 public:
  SampleMaker(const Ids& text, const Tokenizer& tokenizer, const SampleOptions& options,
              int64_t num_questions)
      : text_(text), tokenizer_(tokenizer), options_(options), length_(ssize(text)) {
    std::vector<RecallFact> facts = make_recall_facts(num_questions, options.seed);
    for (const RecallFact& fact : facts) {
      facts_.push_back(tokenizer.encode("\n" + fact.statement + "\n",
                                        {.add_special_tokens = false, .parse_special = false}));
      fact_tokens_ += ssize(facts_.back());
    }
    questions_ = write_questions(facts, tokenizer);
  }

  /// Returns the sample; none where there is no room for the facts.
  std::optional<MeasureSample> make() {
    const int64_t tail = length_ - ssize(questions_.ids);
    const int64_t block = Pattern::kBlock;
    const int64_t begin = std::max<int64_t>(options_.sparse.sink_blocks() * block, 1);
    const int64_t end = (tail / block - options_.sparse.window_blocks() + 1) * block;
    if (tail <= 0 || end - begin < kFactShare * fact_tokens_) return std::nullopt;
    add_text_with_facts(begin, end, tail);
    for (const TokenRange& answer : questions_.answers) {
      sample_.answers.push_back({tail + answer.begin, tail + answer.end});
    }
    sample_.ids.insert(sample_.ids.end(), questions_.ids.begin(), questions_.ids.end());
    return std::move(sample_);
  }

 private:
  static int64_t ssize(const Ids& ids) { return static_cast<int64_t>(ids.size()); }

  /// Fills the sample up to `tail`; facts stand in [begin, end).
  void add_text_with_facts(int64_t begin, int64_t end, int64_t tail) {
    const auto count = static_cast<int64_t>(facts_.size());
    const std::vector<int64_t> order = shuffled(count, mix_pair(options_.seed, 1));
    const int64_t far = first_far_position(options_.sparse, options_.num_kv_heads, length_);
    sample_.facts.resize(facts_.size());
    int64_t next = 0;        // of text_
    bool after_fact = true;  // the token behind a fact is no fair question, nor is the first one
    const auto add_text_until = [&](int64_t position) {
      for (; size() < position; after_fact = false) {
        if (size() > far && !after_fact) sample_.far_text.push_back(size());
        sample_.ids.push_back(text_[next++]);
      }
    };
    const int64_t room = (end - begin - fact_tokens_) / count;  // of text behind each fact
    int64_t place = begin;
    for (int64_t i = 0; i < count; ++i) {
      const Ids& fact = facts_[order[i]];
      add_text_until(place);
      add_text_until(size() + tokens_to_sentence_end(next, room));
      sample_.facts[order[i]] = {size(), size() + ssize(fact)};
      sample_.ids.insert(sample_.ids.end(), fact.begin(), fact.end());
      after_fact = true;
      place += ssize(fact) + room;
    }
    add_text_until(tail);
  }

  int64_t size() const { return ssize(sample_.ids); }

  /// Returns how many tokens of the text on from `next` end with a sentence; 0 where none does
  /// within `most`.
  int64_t tokens_to_sentence_end(int64_t next, int64_t most) const {
    most = std::min(most, kMostTokensToSentenceEnd);
    for (int64_t n = 0; n < most; ++n) {
      if (next + n > 0 && ends_sentence(tokenizer_, text_[next + n - 1])) return n;
    }
    return 0;
  }

  const Ids& text_;
  const Tokenizer& tokenizer_;
  const SampleOptions& options_;
  int64_t length_, fact_tokens_ = 0;
  std::vector<Ids> facts_;
  Questions questions_;
  MeasureSample sample_;
};

}  // namespace

int64_t MeasureSample::num_answer_tokens() const {
  int64_t count = 0;
  for (const TokenRange& answer : answers) count += answer.end - answer.begin;
  return count;
}

int64_t first_far_position(const Pattern& pattern, int64_t num_kv_heads, int64_t length) {
  for (int64_t block = 0; block * Pattern::kBlock < length; ++block) {
    for (int64_t head = 0; head < num_kv_heads; ++head) {
      const auto seen = static_cast<int64_t>(pattern.visible_blocks(block, head).size());
      if (seen < block + 1) return block * Pattern::kBlock;
    }
  }
  return length;
}

std::vector<int64_t> far_text_edges(const Pattern& sparse, int64_t num_kv_heads, int64_t length) {
  const Pattern pattern = sparse.for_heads(num_kv_heads);
  return far_text_edges(first_far_position(pattern, num_kv_heads, length), length);
}

MeasureSample make_measure_sample(const std::vector<int32_t>& text, const Tokenizer& tokenizer,
                                  const SampleOptions& options) {
  const bool may_shrink = options.questions == 0;
  const int64_t most = may_shrink ? kDefaultQuestions : options.questions;
  LG_CHECK(most >= 1, "[measure] questions: expected at least 1, found ", most, ".");
  for (int64_t count = most; count >= (may_shrink ? kFewestQuestions : most); count /= 2) {
    auto sample = SampleMaker(text, tokenizer, options, count).make();
    if (sample && !sample->far_text.empty()) return *std::move(sample);
  }
  LG_FAIL(
      "[measure] ", format_count(static_cast<int64_t>(text.size())),
      " tokens are too few: ", may_shrink ? kFewestQuestions : most,
      " questions at the end, and as many facts farther away than the sparse layers' window of ",
      format_count(options.sparse.window_blocks() * Pattern::kBlock),
      " tokens, do not fit. Give a larger --length, or a smaller window with --sparse.");
}

}  // namespace longgen
