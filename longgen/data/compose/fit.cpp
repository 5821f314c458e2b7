#include "longgen/data/compose/fit.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "longgen/base/check.h"

namespace longgen {
namespace {

// The text between the document's beginning and its first passage, where the beginning may move.
constexpr size_t kFirstStretchBytes = 240;
// A first guess is so much too short on purpose: what lacks is added in front, where no passage is.
constexpr double kFirstGuess = 0.97;
// A move by more tokens than this need not be exact: the next one is. Within so few the exact place
// is looked for.
constexpr int64_t kFar = 64, kNear = 6;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

size_t skip_space(std::string_view text, size_t at) {
  while (at < text.size() && is_space(text[at])) ++at;
  return at;
}

/// Returns where the next line with words begins, its indentation included, or where in this line
/// the next word does.
size_t next_line(std::string_view text, size_t at) {
  const size_t word = skip_space(text, at);
  const size_t line_break = text.substr(at, word - at).rfind('\n');
  return line_break == std::string_view::npos ? word : at + line_break + 1;
}

/// Returns where the next word begins, at `at` or after it; in text without spaces where the next
/// character does.
size_t word_begin(std::string_view text, size_t at) {
  constexpr size_t kLongestWord = 200;
  if (at == 0 || at >= text.size()) return std::min(at, text.size());
  const size_t limit = std::min(at + kLongestWord, text.size());
  for (size_t i = at; i < limit; ++i) {
    if (is_space(text[i - 1])) return skip_space(text, i);
  }
  while (at < text.size() && (text[at] & 0xC0) == 0x80) ++at;
  return at;
}

/// Where a document begins in the text, and what stands before it.
struct Beginning {
  size_t at = 0;
  std::string_view prefix = "";
  bool operator==(const Beginning&) const = default;
};

class Fitter {
 public:
  Fitter(const Scene& scene, const TaskText& task, int64_t num_tokens, const TokenCounter& counter)
      : scene_(scene), task_(task), num_tokens_(num_tokens), counter_(counter) {}

  std::optional<ComposedDocument> fit(Draw& draw, std::string& problem);

 private:
  std::optional<size_t> first_begin(double share, std::string& problem) const;
  void place_passages(size_t begin, Draw& draw);
  ComposedDocument write(const Beginning& begin) const;
  std::optional<Beginning> moved(const Beginning& begin, int64_t more_tokens) const;
  std::optional<Beginning> exact(size_t near, size_t behind, int64_t wanted) const;
  int64_t bytes_of(int64_t tokens) const {
    return static_cast<int64_t>(std::ceil(static_cast<double>(tokens) * scene_.bytes_per_token));
  }
  int64_t tokens_from(const Beginning& begin, size_t behind) const {
    return counter_.inside(
        std::string(begin.prefix).append(scene_.text.substr(begin.at, behind - begin.at)));
  }
  size_t last_begin() const { return places_.empty() ? scene_.sure_begin : places_.front(); }

  const Scene& scene_;
  const TaskText& task_;
  const int64_t num_tokens_;
  const TokenCounter& counter_;
  std::vector<size_t> places_;  // ends of sentences after which the passages stand, ascending
};

/// Returns where the text begins when it gives about `share` of the tokens that are left to it.
std::optional<size_t> Fitter::first_begin(double share, std::string& problem) const {
  std::string added = task_.questions.text;
  for (const Passage& passage : task_.passages) added += "\n" + passage.text;
  const int64_t taken = counter_.document(added);
  const int64_t room = num_tokens_ - taken;
  if (room < num_tokens_ / 4) {
    problem = detail::concat("its passages and questions take ", taken,
                             " tokens, which leaves too little to the text around them");
    return std::nullopt;
  }
  const auto bytes =
      static_cast<size_t>(static_cast<double>(room) * scene_.bytes_per_token * share);
  const size_t size = scene_.text.size();
  const size_t begin = word_begin(scene_.text, size - std::min(bytes, size));
  if (bytes < size && begin + kFirstStretchBytes < size && begin <= scene_.sure_begin) return begin;
  problem = "the text there is too short or its questions are too long";
  return std::nullopt;
}

/// Draws a place in each of as many equal stretches as there are passages, so that each passage may
/// stand anywhere between those before and after it, and all together cover the text.
void Fitter::place_passages(size_t begin, Draw& draw) {
  places_.clear();
  const size_t first = begin + kFirstStretchBytes;
  const size_t room = scene_.text.size() - first, count = task_.passages.size();
  for (size_t i = 0; i < count; ++i) {
    const size_t low = first + room * i / count, high = first + room * (i + 1) / count;
    const auto at =
        static_cast<size_t>(draw.between(static_cast<int64_t>(low), static_cast<int64_t>(high)));
    const auto sentence = std::ranges::lower_bound(scene_.sentences, at, {}, &ByteRange::end);
    places_.push_back(sentence == scene_.sentences.end() ? scene_.text.size() : sentence->end);
  }
}

ComposedDocument Fitter::write(const Beginning& begin) const {
  ComposedDocument document;
  std::string& text = document.text;
  text = begin.prefix;
  size_t at = begin.at;
  for (size_t i = 0; i < places_.size(); ++i) {
    const Passage& passage = task_.passages[i];
    text += scene_.text.substr(at, places_[i] - at);
    at = places_[i];
    text += passage.block ? "\n\n" : " ";
    document.passages.push_back({text.size(), text.size() + passage.text.size()});
    text += passage.text;
    if (!passage.block) continue;
    text += "\n\n";
    // Where several passages share a place, the white space after it is left out once.
    if (i + 1 == places_.size() || places_[i + 1] > at) at = next_line(scene_.text, at);
  }
  text += scene_.text.substr(at);
  while (!text.empty() && is_space(text.back())) text.pop_back();
  text += "\n\n";
  for (const ByteRange& answer : task_.questions.answers) {
    document.answers.push_back({text.size() + answer.begin, text.size() + answer.end});
  }
  text += task_.questions.text;
  return document;
}

/// Finds a beginning from which the document has so many tokens more (or fewer, when negative) than
/// from `begin`. Only the tokens up to a place behind both are counted: those after it do not
/// change. For many tokens it finds about the right place.
std::optional<Beginning> Fitter::moved(const Beginning& begin, int64_t more_tokens) const {
  constexpr size_t kLocalBytes = 800;
  const std::string_view text = scene_.text;
  const size_t limit = last_begin();
  const size_t forward = more_tokens < 0 ? static_cast<size_t>(bytes_of(-2 * more_tokens)) : 0;
  const size_t behind = word_begin(text, begin.at + forward + kLocalBytes);
  const int64_t wanted = tokens_from(begin, behind) + more_tokens;
  size_t at = begin.at;
  for (int64_t i = 0, more = more_tokens; i < 8 && std::abs(more) > kNear; ++i) {
    const int64_t next = static_cast<int64_t>(at) - bytes_of(more);
    at = word_begin(text,
                    static_cast<size_t>(std::clamp<int64_t>(next, 0, static_cast<int64_t>(limit))));
    more = wanted - tokens_from({at}, behind);
  }
  if (at >= limit || (at == 0 && tokens_from({at}, behind) < wanted)) return std::nullopt;
  if (std::abs(more_tokens) > kFar) return Beginning{at};
  return exact(at, behind, wanted);
}

/// Finds a beginning near a place from which the text up to `behind` has exactly so many tokens. A
/// document should begin with a word; where the word before has two tokens and no word gives the
/// number, the dots that stand for what was left out are one token more; else it begins anywhere.
std::optional<Beginning> Fitter::exact(size_t near, size_t behind, int64_t wanted) const {
  const auto reach = static_cast<size_t>(bytes_of(3 * kNear)) + 16;
  const size_t low = near - std::min(reach, near), high = std::min(near + reach, last_begin());
  const std::string_view text = scene_.text;
  const auto find = [&](bool words, std::string_view prefix) -> std::optional<Beginning> {
    for (size_t at = low; at < high; ++at) {
      if (is_space(text[at]) || (text[at] & 0xC0) == 0x80) continue;
      const bool is_word = at == 0 || is_space(text[at - 1]);
      if (is_word == words && tokens_from({at, prefix}, behind) == wanted) {
        return Beginning{at, prefix};
      }
    }
    return std::nullopt;
  };
  for (const std::string_view prefix : {"", "... ", "[...] "}) {
    if (const std::optional<Beginning> found = find(true, prefix)) return found;
  }
  return find(false, "");
}

std::optional<ComposedDocument> Fitter::fit(Draw& draw, std::string& problem) {
  constexpr int kMaxSteps = 12;
  double share = kFirstGuess;
  std::optional<size_t> first = first_begin(share, problem);
  if (!first) return std::nullopt;
  place_passages(*first, draw);
  Beginning begin{*first};
  for (int step = 0; step < kMaxSteps; ++step) {
    ComposedDocument document = write(begin);
    const int64_t more = num_tokens_ - counter_.document(document.text);
    if (more == 0) return document;
    std::optional<Beginning> next = moved(begin, more);
    if (!next && more < 0) {  // the first passage is in the way: begin anew with less text
      share *= 0.97 * static_cast<double>(num_tokens_) / static_cast<double>(num_tokens_ - more);
      first = first_begin(share, problem);
      if (!first) return std::nullopt;
      place_passages(*first, draw);
      next = Beginning{*first};
    }
    if (!next || *next == begin) break;
    begin = *next;
  }
  problem = "no beginning of the text gives exactly that many tokens";
  return std::nullopt;
}

}  // namespace

double TokenCounter::bytes_per_token(std::string_view text) const {
  constexpr size_t kPieces = 8, kPieceBytes = 4096;
  size_t num_bytes = 0;
  int64_t num_tokens = 0;
  for (size_t i = 0; i < kPieces; ++i) {
    const size_t begin = word_begin(text, text.size() * i / kPieces);
    const size_t end = std::min(text.size() * (i + 1) / kPieces, begin + kPieceBytes);
    if (begin >= end) continue;
    const std::string_view piece = text.substr(begin, word_begin(text, end) - begin);
    num_bytes += piece.size();
    num_tokens += inside(piece);
  }
  return num_tokens > 0 ? static_cast<double>(num_bytes) / static_cast<double>(num_tokens) : 1;
}

std::optional<ComposedDocument> fit_document(const Scene& scene, const TaskText& task,
                                             int64_t num_tokens, const TokenCounter& counter,
                                             Draw& draw, std::string& problem) {
  return Fitter(scene, task, num_tokens, counter).fit(draw, problem);
}

}  // namespace longgen
