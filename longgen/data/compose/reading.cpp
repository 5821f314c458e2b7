// Questions on the text of the corpus itself: what follows a sentence, what stands before it, which
// word is missing, what comes first, what stood there at all.
#include <algorithm>
#include <utility>

#include "longgen/data/compose/question_writer.h"
#include "longgen/data/compose/reading_wordings.h"
#include "longgen/data/compose/task.h"
#include "longgen/data/compose/wording.h"
#include "longgen/data/sentences.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

constexpr int64_t kQuestionBytes = 350;  // about what one takes with its answer
constexpr int64_t kMaxQuestions = 8;
constexpr size_t kMinQuoteBytes = 40, kMaxQuoteBytes = 300, kMinAnswerBytes = 12;
constexpr size_t kOpeningBytes = 28, kMinGapBytes = 6;

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/// Makes one space of each run of white space: a sentence is quoted without its line breaks.
std::string on_one_line(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  for (const char c : text) {
    if (!is_space(c)) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  return line;
}

/// Whether a sentence may be quoted between quotation marks.
bool is_quotable(std::string_view line) {
  return line.size() >= kMinQuoteBytes && line.size() <= kMaxQuoteBytes &&
         line.find('"') == std::string_view::npos && line.find("***") == std::string_view::npos;
}

/// The whole words of a sentence that take about kOpeningBytes.
std::string_view opening_of(std::string_view line) {
  const size_t space = line.find(' ', kOpeningBytes);
  return space < line.size() ? line.substr(0, space)
                             : line.substr(0, previous_utf8(line, kOpeningBytes + 1));
}

/// The longest word of ASCII letters; empty where it is short.
ByteRange longest_word(std::string_view line) {
  ByteRange longest;
  for (size_t begin = 0; begin < line.size();) {
    size_t end = begin;
    while (end < line.size() && ((line[end] | 32) >= 'a' && (line[end] | 32) <= 'z')) ++end;
    // A letter beyond ASCII beside it would make it a part of a word.
    const bool whole = (begin == 0 || static_cast<signed char>(line[begin - 1]) >= 0) &&
                       (end == line.size() || static_cast<signed char>(line[end]) >= 0);
    if (whole && end - begin > longest.end - longest.begin) longest = {begin, end};
    begin = end + 1;
  }
  return longest.end - longest.begin >= kMinGapBytes ? longest : ByteRange{};
}

class Reader {
 public:
  Reader(const Scene& scene, Draw& draw)
      : scene_(scene), draw_(draw), line_(on_one_line(scene.text)), questions_(draw) {
    for (size_t i = 1; i + 1 < scene.sentences.size(); ++i) {
      if (scene.sentences[i - 1].begin < scene.sure_begin) continue;
      if (is_quotable(sentence(i))) quotable_.push_back(i);
    }
    draw_.shuffle(quotable_);
    for (const ByteRange& range : find_sentences(scene.elsewhere)) {
      std::string line = on_one_line(scene.elsewhere.substr(range.begin, range.end - range.begin));
      if (is_quotable(line) && count(line) == 0) foreign_.push_back(std::move(line));
    }
    draw_.shuffle(foreign_);
  }

  /// Asks that many questions, where the text has enough sentences; returns how many.
  int64_t ask(int64_t num_questions) {
    int64_t asked = 0;
    while (asked < num_questions && !quotable_.empty()) {
      const size_t i = quotable_.back();
      quotable_.pop_back();
      const std::string quote = sentence(i);
      if (count(quote) == 1 && ask_about(i, quote)) ++asked;
    }
    return asked;
  }

  MarkedText finish() { return questions_.finish(); }

 private:
  std::string sentence(size_t i) const {
    const ByteRange& range = scene_.sentences[i];
    return on_one_line(scene_.text.substr(range.begin, range.end - range.begin));
  }

  /// Returns how often it stands in the text: 0, 1, or 2 for more.
  int count(std::string_view part) const {
    const size_t first = line_.find(part);
    if (first == std::string::npos) return 0;
    return line_.find(part, first + 1) == std::string::npos ? 1 : 2;
  }

  bool ask_about(size_t i, const std::string& quote) {
    const int64_t kind = draw_.between(1, 100);
    if (kind <= 40) return ask_neighbour(i + 1, kFollowingQuestions, quote);
    if (kind <= 55) return ask_neighbour(i - 1, kPrecedingQuestions, quote);
    if (kind <= 70) return ask_gap(quote);
    if (kind <= 85) return ask_order(i, quote);
    return ask_presence(quote);
  }

  template <typename Wordings>
  bool ask_neighbour(size_t i, const Wordings& wordings, const std::string& quote) {
    const std::string answer = sentence(i);
    if (answer.size() < kMinAnswerBytes || answer.size() > kMaxQuoteBytes ||
        answer.find("***") != std::string::npos) {
      return false;
    }
    questions_.ask(fill(draw_.pick(wordings), {{"quote", quote}}), answer, false);
    return true;
  }

  bool ask_gap(std::string quote) {
    const ByteRange gap = longest_word(quote);
    if (gap.end == 0) return false;
    const std::string word = quote.substr(gap.begin, gap.end - gap.begin);
    quote.replace(gap.begin, word.size(), "_____");
    questions_.ask(fill(draw_.pick(kGapQuestions), {{"quote", quote}}), word);
    return true;
  }

  bool ask_order(size_t i, const std::string& quote) {
    if (quotable_.empty()) return false;
    const size_t j = quotable_.back();
    quotable_.pop_back();
    const std::string other = sentence(j);
    const std::string_view one = opening_of(quote), two = opening_of(other);
    if (count(one) != 1 || count(two) != 1) return false;
    questions_.ask(fill(draw_.pick(kOrderOfTwoQuestions), {{"first", one}, {"second", two}}),
                   i < j ? "(a)" : "(b)");
    return true;
  }

  bool ask_presence(const std::string& quote) {
    constexpr size_t kNumForeign = 3;
    if (foreign_.size() < kNumForeign) return false;
    const auto place = static_cast<size_t>(draw_.between(0, kNumForeign));
    std::string choices, answer;
    for (size_t i = 0; i <= kNumForeign; ++i) {
      const std::string letter{'(', static_cast<char>('a' + i), ')'};
      if (i == place) answer = letter;
      choices.append(i > 0 ? " " : "").append(letter).append(" \"");
      choices.append(i == place ? quote : foreign_.back()).append("\"");
      if (i != place) foreign_.pop_back();
    }
    questions_.ask(fill(draw_.pick(kPresenceQuestions), {{"choices", choices}}), answer);
    return true;
  }

  const Scene& scene_;
  Draw& draw_;
  const std::string line_;        // the text without line breaks
  std::vector<size_t> quotable_;  // sentences, in random order
  std::vector<std::string> foreign_;
  QuestionWriter questions_;
};

}  // namespace

std::optional<TaskText> make_reading(const Scene& scene, Draw& draw) {
  const int64_t most = std::clamp<int64_t>(scene.budget_bytes / kQuestionBytes, 1, kMaxQuestions);
  const int64_t wanted = draw.between((most + 1) / 2, most);
  Reader reader(scene, draw);
  if (reader.ask(wanted) < wanted) return std::nullopt;
  return TaskText{{}, reader.finish(), {}};
}

}  // namespace longgen
