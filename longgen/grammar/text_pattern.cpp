#include "longgen/grammar/text_pattern.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "longgen/grammar/char_set.h"
#include "longgen/grammar/schema_error.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

constexpr size_t kMostBytes = 1024;
constexpr int kMostDepth = 16;
// xgrammar writes out as many, and is slow beyond.
constexpr int64_t kMostRepeats = 128;
// A class with more characters is one for letters.
constexpr int64_t kFewCharacters = 20;

/// A part of a pattern.
struct Piece {
  std::string ebnf;
  int64_t places = 0;
  bool may_be_empty = false;
};

const CharSet& digits() {
  static const CharSet set = {{'0', '9'}};
  return set;
}
const CharSet& word_characters() {
  static const CharSet set = {{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  return set;
}
const CharSet& spaces() {
  static const CharSet set = {{'\t', '\r'}, {' ', ' '}};
  return set;
}
const CharSet& line_ends() {
  static const CharSet set = {{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}};
  return set;
}

/// Of ASCII, because readers of patterns disagree about what is a letter beyond.
CharSet others(const CharSet& set) {
  CharSet ascii = {{0, 0x7F}};
  return ascii.without(set);
}

class PatternReader {
 public:
  PatternReader(std::string_view pattern, const std::string& path)
      : pattern_(pattern), path_(path) {}

  Piece read() {
    if (pattern_.size() > kMostBytes) {
      refuse(fmt::format("expected at most {} bytes, found {}.", kMostBytes, pattern_.size()));
    }
    Piece all = alternatives(0);
    if (!at_end()) refuse_here("there is no group that ends here");
    return all;
  }

 private:
  [[noreturn]] void refuse(const std::string& message) const { throw SchemaError(path_, message); }
  [[noreturn]] void refuse_here(const std::string& message) const {
    refuse(fmt::format("at byte {} of the pattern: {}.", at_, message));
  }

  bool at_end() const { return at_ == pattern_.size(); }
  bool next_is(char c) const { return !at_end() && pattern_[at_] == c; }
  bool take(char c) {
    if (!next_is(c)) return false;
    ++at_;
    return true;
  }
  bool take(std::string_view text) {
    if (!pattern_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }

  Piece alternatives(int depth) {
    if (depth > kMostDepth) refuse_here(fmt::format("groups nest at most {} deep", kMostDepth));
    Piece all;
    do {
      Piece one = sequence(depth);
      all.ebnf += (all.ebnf.empty() ? "" : " | ") + one.ebnf;
      all.places += one.places;
      all.may_be_empty = all.may_be_empty || one.may_be_empty;
    } while (take('|'));
    return {"(" + all.ebnf + ")", all.places, all.may_be_empty};
  }

  /// Anchors stand at the ends of the whole pattern, or of its alternatives.
  Piece sequence(int depth) {
    const bool is_outermost = depth == 0;
    Piece all = {"", 0, true};
    const auto add = [&](const Piece& piece) {
      all.ebnf += (all.ebnf.empty() ? "" : " ") + piece.ebnf;
      all.places += piece.places;
      all.may_be_empty = all.may_be_empty && piece.may_be_empty;
    };
    // Without escapes: xgrammar is slow where what is repeated has several forms.
    const Piece anything = {plain_in_json().ebnf() + "*", GrammarLimits::kPlacesOfWide, true};
    if (is_outermost && !take('^')) add(anything);
    while (!at_end() && !next_is('|') && !next_is(')') && !next_is('$')) add(repeated(depth));
    if (is_outermost && !take('$')) add(anything);
    if (next_is('$')) refuse_here("\"$\" is supported at the end of the pattern only");
    if (is_outermost && !at_end() && !next_is('|')) {
      refuse_here(next_is(')') ? "there is no group that ends here" : "nothing can follow \"$\"");
    }
    if (all.ebnf.empty()) all.ebnf = "\"\"";
    return all;
  }

  Piece repeated(int depth) {
    const Piece one = atom(depth);
    int64_t least = 1, most = 1;  // -1: without end
    if (take('*')) {
      least = 0, most = -1;
    } else if (take('+')) {
      most = -1;
    } else if (take('?')) {
      least = 0;
    } else if (next_is('{')) {
      read_counts(least, most);
    } else {
      return one;
    }
    if (next_is('?')) ++at_;  // the same texts, looked for in another order
    if (next_is('*') || next_is('+') || next_is('{')) refuse_here("nothing is repeated here");
    if (one.may_be_empty && most != 1) {
      refuse_here("what is repeated here may be empty, which is not supported");
    }
    const int64_t count = std::max<int64_t>(1, std::max(least, most));
    Piece all = {one.ebnf, one.places * count, one.may_be_empty || least == 0};
    if (least == 0 && most == -1) {
      all.ebnf += "*";
    } else if (least == 1 && most == -1) {
      all.ebnf += "+";
    } else if (least == 0 && most == 1) {
      all.ebnf += "?";
    } else {
      all.ebnf +=
          most == -1 ? fmt::format("{{{},}}", least) : fmt::format("{{{},{}}}", least, most);
    }
    return all;
  }

  void read_counts(int64_t& least, int64_t& most) {
    take('{');
    least = number();
    most = least;
    if (take(',')) most = next_is('}') ? -1 : number();
    if (!take('}')) refuse_here("expected \"}\" after the counts");
    if (most >= 0 && most < least) refuse_here("the first count is above the second one");
    if (most == 0) refuse_here("expected at least one time, found none");
  }

  int64_t number() {
    int64_t value = 0;
    const size_t begin = at_;
    for (; !at_end() && pattern_[at_] >= '0' && pattern_[at_] <= '9'; ++at_) {
      value = value * 10 + (pattern_[at_] - '0');
      if (value > kMostRepeats) {
        refuse_here(fmt::format("expected at most {} times", kMostRepeats));
      }
    }
    if (at_ == begin) refuse_here("expected a count (write \"\\{\" for a brace)");
    return value;
  }

  Piece atom(int depth) {
    for (const char c : {'*', '+', '?', '{'}) {
      if (next_is(c)) refuse_here("nothing is repeated here");
    }
    if (next_is('^')) refuse_here("\"^\" is supported at the beginning of the pattern only");
    if (take('(')) return group(depth);
    if (take('[')) return of_set(bracketed());
    if (take('.')) return of_set(line_ends().complement());
    if (take('\\')) return of_set(escaped(false));
    const uint32_t c = character();
    return of_set({{c, c}});
  }

  Piece group(int depth) {
    if (take("?:") || !next_is('?')) {
      Piece inside = alternatives(depth + 1);
      if (!take(')')) refuse_here("expected the end of a group");
      return inside;
    }
    refuse_here("groups that begin with \"(?\" are not supported but for \"(?:\"");
  }

  uint32_t character() {
    const Utf8Char c = decode_utf8(pattern_, at_);
    at_ += c.length;
    return c.code_point;
  }

  /// What stands behind a backslash.
  CharSet escaped(bool in_brackets) {
    if (at_end()) refuse_here("nothing follows \"\\\"");
    const char c = pattern_[at_++];
    switch (c) {
      case 'd':
        return digits();
      case 'D':
        return others(digits());
      case 'w':
        return word_characters();
      case 'W':
        return others(word_characters());
      case 's':
        return spaces();
      case 'S':
        return others(spaces());
      case 'n':
        return {{'\n', '\n'}};
      case 'r':
        return {{'\r', '\r'}};
      case 't':
        return {{'\t', '\t'}};
      case 'f':
        return {{'\f', '\f'}};
      case 'v':
        return {{'\v', '\v'}};
      case 'x':
        return one(hexadecimal(2));
      case 'u':
        return one(hexadecimal(4));
      default:
        break;
    }
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    const bool is_digit = c >= '0' && c <= '9';
    if (is_letter || is_digit || (static_cast<unsigned char>(c) & 0x80) != 0) {
      --at_;
      refuse_here(in_brackets ? "this escape is not supported in brackets"
                              : "this escape is not supported");
    }
    return one(static_cast<uint32_t>(c));
  }

  static CharSet one(uint32_t c) { return {{c, c}}; }

  uint32_t hexadecimal(int count) {
    uint32_t value = 0;
    for (int i = 0; i < count; ++i) {
      const char c = at_end() ? ' ' : pattern_[at_];
      const std::string_view kDigits = "0123456789abcdef";
      const char lower = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
      const size_t digit = kDigits.find(lower);
      if (digit == kDigits.npos) refuse_here(fmt::format("expected {} hexadecimal digits", count));
      value = value * 16 + static_cast<uint32_t>(digit);
      ++at_;
    }
    if (value >= 0xD800 && value <= 0xDFFF) refuse_here("expected a character, found half of one");
    return value;
  }

  CharSet bracketed() {
    const bool is_negated = take('^');
    CharSet set;
    while (!take(']')) {
      if (at_end()) refuse_here("expected \"]\"");
      const CharSet first = bracket_item();
      const bool is_range = next_is('-') && at_ + 1 < pattern_.size() && pattern_[at_ + 1] != ']';
      if (!is_range) {
        set.add(first);
        continue;
      }
      ++at_;
      const CharSet last = bracket_item();
      if (first.size() != 1 || last.size() != 1)
        refuse_here("a range goes from one character to another");
      if (last.first() < first.first()) refuse_here("the range ends before it begins");
      set.add(first.first(), last.first());
    }
    if (is_negated) set = set.complement();
    if (set.is_empty()) refuse_here("no character is in these brackets");
    return set;
  }

  CharSet bracket_item() {
    if (at_end()) refuse_here("expected \"]\"");
    if (take('\\')) return escaped(true);
    return one(character());
  }

  /// One character of the set, as JSON writes it.
  Piece of_set(const CharSet& set) {
    std::vector<std::string> forms;
    const CharSet plain = set.without(plain_in_json().complement());
    if (!plain.is_empty()) forms.push_back(plain.ebnf());
    // A set that leaves some out has enough characters without those that need an escape.
    if (!set.contains(CharSet::kLast)) {
      static constexpr std::string_view kEscaped = "\"\\\b\f\n\r\t", kLetters = "\"\\bfnrt";
      for (size_t i = 0; i < kEscaped.size(); ++i) {
        if (!set.contains(static_cast<unsigned char>(kEscaped[i]))) continue;
        forms.push_back(ebnf_literal(std::string("\\") + kLetters[i]));
      }
    }
    if (forms.empty()) refuse_here("this character cannot stand in a JSON string of the reply");
    const bool is_wide = set.size() > kFewCharacters;
    return {fmt::format("({})", fmt::join(forms, " | ")),
            is_wide ? GrammarLimits::kPlacesOfWide * (forms.size() > 1 ? 2 : 1) : 1, false};
  }

  std::string_view pattern_;
  const std::string& path_;
  size_t at_ = 0;
};

}  // namespace

std::string text_pattern_ebnf(std::string_view pattern, const std::string& path, EbnfRules& rules) {
  const Piece all = PatternReader(pattern, path).read();
  rules.count_places(all.places, path);
  return all.ebnf;
}

}  // namespace longgen
