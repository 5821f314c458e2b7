#include "longgen/bench/load/prompt_maker.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/base/random.h"

namespace longgen {
namespace {

constexpr size_t kLeastWords = 100;
// Samples of so many words say how many tokens a word has, and what stands around a prompt.
constexpr int64_t kFewWords = 50, kManyWords = 400;
constexpr int kMaxRounds = 4;  // of counting a prompt and mending it
constexpr uint64_t kSampleKey = 1;

const char* const kFrequentWords[] = {
    "time",   "year",       "people", "way",     "day",    "man",      "thing",  "woman",
    "life",   "child",      "world",  "school",  "state",  "family",   "group",  "country",
    "hand",   "part",       "place",  "case",    "week",   "company",  "system", "program",
    "work",   "government", "number", "night",   "point",  "home",     "water",  "room",
    "mother", "area",       "money",  "story",   "fact",   "month",    "lot",    "right",
    "study",  "book",       "eye",    "job",     "word",   "business", "issue",  "side",
    "kind",   "head",       "house",  "service", "friend", "father",   "power",  "hour",
    "game",   "line",       "end",    "member",  "law",    "car",      "city",   "name",
    "team",   "minute",     "idea",   "body",    "back"};

/// Prompts may end in the same piece, and differ before it.
uint64_t fit_key(const PlannedRequest& request) {
  uint64_t key = 0;
  for (const PromptPiece& piece : request.prompt) {
    key = mix_pair(mix_pair(key, piece.key), static_cast<uint64_t>(piece.num_tokens));
  }
  return key;
}

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

}  // namespace

std::string IdPrompts::json(const PlannedRequest& request) const {
  std::string json = "[";
  json.reserve(static_cast<size_t>(request.prompt_tokens()) * 6);
  char digits[24];
  for (const PromptPiece& piece : request.prompt) {
    RandomStream random(piece.key);
    for (int64_t i = 0; i < piece.num_tokens; ++i) {
      const int64_t id =
          low_ + static_cast<int64_t>(random.below(static_cast<uint64_t>(end_ - low_)));
      if (json.size() > 1) json += ',';
      json.append(digits, std::to_chars(digits, digits + sizeof(digits), id).ptr);
    }
  }
  return json + "]";
}

WordPrompts::WordPrompts(Source source, Count count, bool counts_each)
    : source_(std::move(source)), count_(std::move(count)), counts_each_(counts_each) {
  measure_words();
}

/// The last piece has `last_words` words, the others as many as their tokens make.
std::string WordPrompts::text(const PlannedRequest& request, int64_t last_words) const {
  const uint64_t num_words = source_.words.size();
  std::string text;
  for (size_t i = 0; i < request.prompt.size(); ++i) {
    const PromptPiece& piece = request.prompt[i];
    const bool is_last = i + 1 == request.prompt.size();
    RandomStream random(piece.key);
    uint64_t place = random.below(num_words);
    for (int64_t left = is_last ? last_words : words_of(piece.num_tokens); left > 0; --left) {
      if (!text.empty()) text += ' ';
      text += source_.words[place];
      place = source_.is_in_order ? (place + 1) % num_words : random.below(num_words);
    }
  }
  return text;
}

int64_t WordPrompts::words_of(int64_t num_tokens) const {
  return std::max<int64_t>(std::llround(static_cast<double>(num_tokens) / tokens_per_word_), 1);
}

void WordPrompts::measure_words() {
  const auto tokens_of = [this](int64_t num_words) {
    return static_cast<double>(count_(text({.prompt = {{kSampleKey, 1}}}, num_words)));
  };
  const double few = tokens_of(kFewWords), many = tokens_of(kManyWords);
  LG_CHECK(many > few, "the server counts ", few, " tokens in ", kFewWords, " words and ", many,
           " in ", kManyWords, ": prompts of a length cannot be made.");
  tokens_per_word_ = (many - few) / static_cast<double>(kManyWords - kFewWords);
  tokens_around_ = std::max(few - tokens_per_word_ * static_cast<double>(kFewWords), 0.0);
}

void WordPrompts::fit(const std::vector<PlannedRequest>& requests) {
  for (const PlannedRequest& request : requests) fit_one(request);
}

void WordPrompts::fit_one(const PlannedRequest& request) {
  const PromptPiece& last = request.prompt.back();
  const auto around = static_cast<int64_t>(std::llround(tokens_around_));
  int64_t num_words = words_of(last.num_tokens - around);
  for (int round = 0; counts_each_ && round < kMaxRounds; ++round) {
    const int64_t missing = request.prompt_tokens() - count_(text(request, num_words));
    if (missing == 0) break;
    auto more = std::llround(static_cast<double>(missing) / tokens_per_word_);
    if (more == 0) more = missing > 0 ? 1 : -1;
    num_words = std::max<int64_t>(num_words + more, 1);
  }
  fitted_[fit_key(request)] = num_words;
}

std::string WordPrompts::json(const PlannedRequest& request) const {
  const auto fitted = fitted_.find(fit_key(request));
  LG_DCHECK(fitted != fitted_.end());
  return dump_json(Json(text(request, fitted->second)));
}

WordPrompts::Source frequent_words() {
  return {{std::begin(kFrequentWords), std::end(kFrequentWords)}, /*is_in_order=*/false};
}

WordPrompts::Source words_of_text(std::string_view text, const std::string& source) {
  std::vector<std::string> words;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = begin;
    while (end < text.size() && !is_space(text[end])) ++end;
    if (end > begin) words.emplace_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  LG_CHECK(words.size() >= kLeastWords, source, ": expected a text of at least ", kLeastWords,
           " words, found ", words.size(), ".");
  return {std::move(words), /*is_in_order=*/true};
}

}  // namespace longgen
