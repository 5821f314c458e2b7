#include "longgen/eval/needle.h"

#include <algorithm>
#include <bit>
#include <span>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/random.h"
#include "longgen/eval/needle_words.h"
#include "longgen/eval/niah.h"

namespace longgen {
namespace {

// So many draws that running out means a fault: a seven-digit number is rare in any text.
constexpr int kMaxDraws = 100;

constexpr const char* kKind = "numbers";

/// Whether only the needle, the question and the answer's beginning name the key.
bool is_unambiguous(const NeedleSample& sample) {
  return count_in(sample.text, sample.answer) == 1 && count_in(sample.text, sample.key) == 3;
}

template <size_t N>
std::string_view pick(const std::array<std::string_view, N>& words, RandomStream& random) {
  return words[random.below(N)];
}

void draw_key_and_answer(RandomStream& random, NeedleSample& sample) {
  sample.key = pick(kNeedleAdjectives, random);
  sample.key += '-';
  sample.key += pick(kNeedleNouns, random);
  sample.answer = draw_niah_number(random);
  sample.needle = niah_needle(kKind, sample.key, sample.answer);
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

NeedleTask::NeedleTask(const Tokenizer& tokenizer, Haystack haystack, NeedleOptions options)
    : haystack_(tokenizer, std::move(haystack)),
      options_(std::move(options)),
      fitter_(tokenizer, options_.wrap) {
  LG_CHECK(options_.new_tokens >= 1 && options_.new_tokens <= kMaxLengthTokens,
           "[needle] new tokens: expected 1 to ", kMaxLengthTokens, ", found ", options_.new_tokens,
           ".");
}

/// Makes text and ids for the key and answer of the sample, as long as the cell allows.
void NeedleTask::fill(const Cell& cell, NeedleSample& sample) const {
  Passage passage = haystack_.passage(cell.first_sentence);
  const PromptLength length = {"needle", cell.length_tokens, options_.new_tokens,
                               "Choose a longer length or fewer new tokens."};
  PromptFitter::Fitted fitted = fitter_.fit(
      length, [&](int64_t max_tokens) { return passage.most(max_tokens); },
      [&](int64_t num_sentences) {
        const Insertion needle = {passage.boundary(cell.depth_percent, num_sentences),
                                  sample.needle};
        return niah_prompt(kKind, false, passage.text(num_sentences, std::span(&needle, 1)),
                           sample.key);
      });
  const int64_t boundary = passage.boundary(cell.depth_percent, fitted.num_pieces);
  sample.num_sentences = fitted.num_pieces;
  sample.depth_percent = passage.percent(boundary, fitted.num_pieces);
  // A space belongs to the needle's first token, a newline does not.
  const WrappedPrompt& prompt = fitted.prompt;
  size_t before = prompt.text.find(sample.needle);
  if (before > 0 && prompt.text[before - 1] == ' ') --before;
  const std::vector<int32_t> head = fitter_.encode(beginning(prompt, before));
  sample.needle_begin_tokens = static_cast<int64_t>(head.size());
  sample.ids = std::move(fitted.ids);
  sample.text = std::move(fitted.prompt.text);
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
  const auto num_sentences = static_cast<uint64_t>(haystack().num_sentences());
  const Cell cell{length_tokens, depth_percent, static_cast<int64_t>(random.below(num_sentences))};
  for (int draw = 0; draw < kMaxDraws; ++draw) {
    NeedleSample sample;
    draw_key_and_answer(random, sample);
    fill(cell, sample);
    if (is_unambiguous(sample)) return sample;
  }
  LG_FAIL(haystack().source(),
          ": expected a text without the needle's key and number, found them "
          "in it for each of ",
          kMaxDraws, " draws. Give another text.");
}

}  // namespace longgen
