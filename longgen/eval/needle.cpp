#include "longgen/eval/needle.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "longgen/base/ascii.h"
#include "longgen/base/check.h"
#include "longgen/base/random.h"
#include "longgen/eval/needle_words.h"

namespace longgen {
namespace {

constexpr int32_t kUnknown = 0, kLeftOut = -1;

// So many draws that running out means a fault: a seven-digit number is rare in any text.
constexpr int kMaxDraws = 100;

std::string needle_of(const NeedleSample& sample) {
  return "One of the special magic numbers for " + sample.key + " is: " + sample.answer + ".";
}

std::string prompt_of(const std::string& context, const std::string& key) {
  return "A special magic number is hidden within the following text. Make sure to memorize it. I "
         "will quiz you about the number afterwards.\n" +
         context + "\nWhat is the special magic number for " + key +
         " mentioned in the provided text?";
}

/// Returns what the reply continues. The space is a part of RULER's definition.
std::string answer_prefix(const std::string& key) {
  return " The special magic number for " + key + " mentioned in the provided text is";
}

int64_t count_of(std::string_view text, std::string_view part) {
  int64_t count = 0;
  for (size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

/// Whether only the needle, the question and the answer's beginning name the key.
bool is_unambiguous(const NeedleSample& sample) {
  return count_of(sample.text, sample.answer) == 1 && count_of(sample.text, sample.key) == 3;
}

template <size_t N>
std::string_view pick(const std::array<std::string_view, N>& words, RandomStream& random) {
  return words[random.below(N)];
}

void draw_key_and_answer(RandomStream& random, NeedleSample& sample) {
  sample.key = pick(kNeedleAdjectives, random);
  sample.key += '-';
  sample.key += pick(kNeedleNouns, random);
  sample.answer = std::to_string(1'000'000 + random.below(9'000'000));
  sample.needle = needle_of(sample);
}

/// The first `size` bytes, with what the format wrote of them.
WrappedPrompt beginning(const WrappedPrompt& prompt, size_t size) {
  WrappedPrompt part{prompt.text.substr(0, size), {}};
  for (const ByteRange& range : prompt.written) {
    if (range.begin < size) part.written.push_back({range.begin, std::min(range.end, size)});
  }
  return part;
}

}  // namespace

std::vector<int32_t> ids_before_text(const Tokenizer& tokenizer) {
  const std::vector<int32_t> plain = tokenizer.encode("a");
  std::vector<int32_t> ids = tokenizer.encode("a", {.add_special_tokens = true});
  const auto text = std::search(ids.begin(), ids.end(), plain.begin(), plain.end());
  ids.erase(text, ids.end());
  return ids;
}

/// Sentences of the haystack in order, and the tokens that the first 0, 1, ... of them take.
struct NeedleTask::Passage {
  std::vector<int64_t> sentences;
  std::vector<int64_t> tokens_before = {0};

  size_t size() const { return sentences.size(); }
  int64_t num_tokens() const { return tokens_before.back(); }

  /// Returns the number of sentences before which about that share of the tokens stands.
  size_t boundary(double percent) const {
    const double wanted = percent / 100 * static_cast<double>(num_tokens());
    const auto next = std::lower_bound(tokens_before.begin(), tokens_before.end(), wanted);
    if (next == tokens_before.begin()) return 0;
    if (next == tokens_before.end()) return size();
    const bool nearer =
        static_cast<double>(*next) - wanted < wanted - static_cast<double>(*(next - 1));
    return static_cast<size_t>(next - tokens_before.begin()) - (nearer ? 0 : 1);
  }

  /// Returns the share of the tokens that stands before that many sentences.
  double percent(size_t num_sentences) const {
    if (sentences.empty()) return 0;
    return 100 * static_cast<double>(tokens_before[num_sentences]) /
           static_cast<double>(num_tokens());
  }
};

NeedleTask::NeedleTask(const Tokenizer& tokenizer, Haystack haystack, NeedleOptions options)
    : tokenizer_(tokenizer),
      haystack_(std::move(haystack)),
      options_(std::move(options)),
      counts_(static_cast<size_t>(haystack_.num_sentences()), kUnknown) {
  LG_CHECK(options_.new_tokens >= 1 && options_.new_tokens <= kMaxLengthTokens,
           "[needle] new tokens: expected 1 to ", kMaxLengthTokens, ", found ", options_.new_tokens,
           ".");
  // A chat format writes BOS itself.
  if (!options_.wrap) begin_ids_ = ids_before_text(tokenizer_);
}

std::vector<int32_t> NeedleTask::encode(const WrappedPrompt& prompt) const {
  std::vector<int32_t> ids = tokenizer_.encode(prompt.text, prompt.written);
  ids.insert(ids.begin(), begin_ids_.begin(), begin_ids_.end());
  return ids;
}

/// Counts what the sentence adds to a text that ends in a full stop, and remembers it: most
/// sentences follow one, and in many vocabularies the space belongs to the word after it.
int64_t NeedleTask::sentence_tokens(int64_t sentence) const {
  int32_t& count = counts_[static_cast<size_t>(sentence)];
  if (count != kUnknown) return count;
  std::string text = ".";
  const size_t before = tokenizer_.encode(text).size();
  text += haystack_.separator();
  text += haystack_.sentence(sentence);
  const std::vector<int32_t> ids = tokenizer_.encode(text);
  const bool special =
      std::any_of(ids.begin(), ids.end(), [&](int32_t id) { return tokenizer_.is_special(id); });
  const auto added = static_cast<int32_t>(ids.size()) - static_cast<int32_t>(before);
  count = special ? kLeftOut : std::max(added, 1);
  return count;
}

/// Returns the sentences from first_sentence on that take at most max_tokens.
NeedleTask::Passage NeedleTask::passage(int64_t first_sentence, int64_t max_tokens) const {
  Passage passage;
  int64_t left_out = 0;  // in a row
  for (int64_t i = first_sentence;; i = (i + 1) % haystack_.num_sentences()) {
    const int64_t tokens = sentence_tokens(i);
    if (tokens == kLeftOut) {
      LG_CHECK(++left_out < haystack_.num_sentences(), haystack_.source(),
               ": expected sentences to hide the needle among, found that every one of them spells "
               "a special token of the tokenizer. Give another text.");
      continue;
    }
    left_out = 0;
    if (passage.num_tokens() + tokens > max_tokens) return passage;
    passage.sentences.push_back(i);
    passage.tokens_before.push_back(passage.num_tokens() + tokens);
  }
}

/// Writes the whole text, with the needle before the passage's sentence `boundary`.
WrappedPrompt NeedleTask::compose(const Passage& passage, size_t boundary,
                                  const NeedleSample& sample) const {
  std::string context;
  const auto add = [&](std::string_view sentence) {
    if (!context.empty()) context += haystack_.separator();
    context += sentence;
  };
  for (size_t i = 0; i < boundary; ++i) add(haystack_.sentence(passage.sentences[i]));
  add(sample.needle);
  for (size_t i = boundary; i < passage.size(); ++i) {
    add(haystack_.sentence(passage.sentences[i]));
  }
  const std::string prompt = prompt_of(context, sample.key);
  if (!options_.wrap) return {prompt + answer_prefix(sample.key), {}};
  WrappedPrompt wrapped = options_.wrap(prompt);
  LG_CHECK(wrapped.text.find(prompt) != std::string::npos,
           "[needle] expected the chat format to keep the prompt as it is, found that it changes "
           "it. Use another format, or none.");
  wrapped.text += answer_prefix(sample.key);
  return wrapped;
}

/// Makes text and ids for the key and answer of the sample, as long as the cell allows.
void NeedleTask::fill(const Cell& cell, NeedleSample& sample) const {
  WrappedPrompt prompt = compose({}, 0, sample);
  sample.ids = encode(prompt);
  const auto num_fixed = static_cast<int64_t>(sample.ids.size());
  const int64_t room = cell.length_tokens - options_.new_tokens - num_fixed;
  LG_CHECK(room >= 0, "[needle] length: expected at least ", num_fixed + options_.new_tokens,
           " tokens (", num_fixed, " of the question without a haystack, ", options_.new_tokens,
           " kept for the reply), found ", cell.length_tokens,
           ". Choose a longer length or fewer new tokens.");
  // The sum of the sentences' tokens is off by a few tokens. What it is off by is measured on the
  // whole text and corrected, until one sentence more is known not to fit: mostly at once.
  int64_t correction = 0;
  size_t too_many = SIZE_MAX;
  Passage best;
  for (Passage next = passage(cell.first_sentence, room);
       next.size() > best.size() && next.size() < too_many;
       next = passage(cell.first_sentence, room - correction)) {
    WrappedPrompt longer = compose(next, next.boundary(cell.depth_percent), sample);
    std::vector<int32_t> ids = encode(longer);
    const int64_t num_tokens = static_cast<int64_t>(ids.size()) - num_fixed;
    correction = num_tokens - next.num_tokens();
    if (num_tokens > room) {
      too_many = next.size();
      continue;
    }
    best = std::move(next);
    prompt = std::move(longer);
    sample.ids = std::move(ids);
  }
  const size_t boundary = best.boundary(cell.depth_percent);
  sample.num_sentences = static_cast<int64_t>(best.size());
  sample.depth_percent = best.percent(boundary);
  // A space belongs to the needle's first token, a newline does not.
  size_t before = prompt.text.find(sample.needle);
  if (before > 0 && prompt.text[before - 1] == ' ') --before;
  sample.needle_begin_tokens = static_cast<int64_t>(encode(beginning(prompt, before)).size());
  sample.text = std::move(prompt.text);
}

NeedleSample NeedleTask::sample(int64_t length_tokens, double depth_percent, int64_t index) const {
  LG_CHECK(length_tokens >= 1 && length_tokens <= kMaxLengthTokens,
           "[needle] length: expected 1 to ", kMaxLengthTokens, " tokens, found ", length_tokens,
           ".");
  LG_CHECK(depth_percent >= 0 && depth_percent <= 100,
           "[needle] depth: expected 0 to 100 percent, found ", depth_percent, ".");
  LG_CHECK(index >= 0, "[needle] sample index: expected at least 0, found ", index, ".");
  uint64_t key = mix_pair(options_.seed, static_cast<uint64_t>(index));
  key = mix_pair(key, static_cast<uint64_t>(length_tokens));
  key = mix_pair(key, std::bit_cast<uint64_t>(depth_percent + 0.0));  // -0 is 0
  RandomStream random(key);
  const auto num_sentences = static_cast<uint64_t>(haystack_.num_sentences());
  const Cell cell{length_tokens, depth_percent, static_cast<int64_t>(random.below(num_sentences))};
  for (int draw = 0; draw < kMaxDraws; ++draw) {
    NeedleSample sample;
    draw_key_and_answer(random, sample);
    fill(cell, sample);
    if (is_unambiguous(sample)) return sample;
  }
  LG_FAIL(haystack_.source(),
          ": expected a text without the needle's key and number, found them "
          "in it for each of ",
          kMaxDraws, " draws. Give another text.");
}

double score_needle(std::string_view reply, std::span<const std::string> answers) {
  LG_CHECK(!answers.empty(), "[score_needle] expected at least one answer, found none.");
  const std::string text = ascii_lower(reply);
  int64_t found = 0;
  for (const std::string& answer : answers) {
    LG_CHECK(!answer.empty(), "[score_needle] expected an answer, found an empty one.");
    if (text.find(ascii_lower(answer)) != std::string::npos) ++found;
  }
  return static_cast<double>(found) / static_cast<double>(answers.size());
}

double score_needle(std::string_view reply, const std::string& answer) {
  return score_needle(reply, std::span(&answer, 1));
}

}  // namespace longgen
