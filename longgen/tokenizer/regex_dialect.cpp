#include "longgen/tokenizer/regex_dialect.h"

#include <array>
#include <cctype>
#include <cstdio>

#include "longgen/base/check.h"
#include "longgen/tokenizer/newer_unicode.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

// These are White_Space of Unicode, to which PCRE2's own \s adds U+180E.
constexpr const char* kSpace = R"(\t-\r\x{85}\p{Z})";
constexpr const char* kMongolianSeparator = R"(\x{180E})";
// Symbols that are Alphabetic are the one part of \w that no general category gives.
constexpr const char* kAlphabeticSymbols =
    R"(\x{24B6}-\x{24E9}\x{1F130}-\x{1F149}\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";

// Of the newer characters of scripts only the ideographs are many.
constexpr const char* kNewerHan = R"(\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})";

std::string hex(uint32_t code_point) {
  char text[16];
  std::snprintf(text, sizeof(text), "\\x{%X}", code_point);
  return text;
}

/// Lists what PCRE2's tables lack of a general category ("L" or "Lu"), as members of a class.
std::string newer_members(std::string_view category) {
  std::string members;
  for (const NewerRange& range : newer_unicode_ranges()) {
    if (range.category[0] != category[0]) continue;
    if (category.size() > 1 && range.category[1] != category[1]) continue;
    members += hex(range.first);
    if (range.last != range.first) members += "-" + hex(range.last);
  }
  return members;
}

std::string category_members(std::string_view category) {
  return "\\p{" + std::string(category) + "}" + newer_members(category);
}

/// PCRE2 would take a bare script name for the script's extensions, which hold punctuation too.
std::string script_members(const std::string& name) {
  return "\\p{sc:" + name + "}" + (name == "Han" ? kNewerHan : "");
}

std::string word_members() {
  return category_members("L") + category_members("M") + category_members("Nd") +
         category_members("Nl") + category_members("Pc") + kAlphabeticSymbols;
}

class Translator {
 public:
  Translator(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  std::string run() {
    LG_CHECK(is_valid_utf8(text_), where_, ": expected a regex in UTF-8.");
    while (at_ < text_.size()) {
      if (text_[at_] == '\\') {
        escape();
      } else if (in_class_) {
        class_member();
      } else {
        plain();
      }
    }
    LG_CHECK(!in_class_, where_, ": a [ in the regex has no ].");
    return out_;
  }

 private:
  char peek(size_t ahead = 0) const {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }
  bool looking_at(std::string_view what) const { return text_.substr(at_).starts_with(what); }

  [[noreturn]] void refuse(const std::string& what) const {
    LG_FAIL(where_, ": the regex uses ", what, " at byte ", at_,
            ", which PCRE2 would read differently; longgen refuses to guess.");
  }

  void copy(size_t count) {
    out_.append(text_.substr(at_, count));
    at_ += count;
  }

  void plain() {
    if (text_[at_] == '[') {
      open_class();
    } else if (looking_at("(*")) {
      refuse("(*");
    } else if (looking_at("(?")) {
      group();
    } else if (text_[at_] == '{') {
      interval();
    } else {
      copy(1);
    }
  }

  void group() {
    static constexpr std::array<std::string_view, 8> kAllowed = {
        "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?i)"};
    for (const std::string_view allowed : kAllowed) {
      if (looking_at(allowed)) return copy(allowed.size());
    }
    refuse(std::string(text_.substr(at_, 4)));
  }

  /// Reads {n}, {n,} and {n,m}; Ruby also has {,m} and gives {n}+ and {n}? meanings of its own.
  void interval() {
    size_t end = at_ + 1;
    while (end < text_.size() &&
           (std::isdigit(static_cast<unsigned char>(text_[end])) || text_[end] == ','))
      ++end;
    const bool closed =
        end < text_.size() && text_[end] == '}' && end > at_ + 1 && text_[at_ + 1] != ',';
    if (!closed) refuse("{ without a count");
    const char next = end + 1 < text_.size() ? text_[end + 1] : '\0';
    if (next == '+' || next == '?') refuse(std::string("}") + next);
    copy(end + 1 - at_);
  }

  void open_class() {
    in_class_ = true;
    copy(1);
    if (peek() == '^') copy(1);
    if (peek() == ']') refuse("[] or [^]");
  }

  void class_member() {
    if (text_[at_] == '[') refuse("a class inside a class");
    if (looking_at("&&")) refuse("&& in a class");
    if (text_[at_] == ']') in_class_ = false;
    copy(1);
  }

  /// Writes a set of characters given by class members, or everything but it.
  void set(const std::string& members, bool negated) {
    if (!in_class_) {
      out_ += (negated ? "[^" : "[") + members + "]";
    } else if (!negated) {
      out_ += members;
    } else {
      refuse("a negated set inside a class");
    }
  }

  void escape() {
    const char kind = peek(1);
    if (kind == 'p' || kind == 'P') return property(kind == 'P');
    if (kind == 'u' || kind == 'x') return code_point(kind);
    const bool punctuation = kind != '\0' && std::ispunct(static_cast<unsigned char>(kind));
    const bool letter =
        kind != '\0' && std::string_view("sSdDwWvrntfaeAz").find(kind) != std::string_view::npos;
    if (!punctuation && !letter)
      refuse(kind == '\0' ? "a \\ at the end" : std::string("\\") + kind);
    if (in_class_ && (kind == 'A' || kind == 'z')) refuse("\\A or \\z inside a class");
    switch (kind) {
      case 's':
        set(kSpace, false);
        break;
      case 'S':
        in_class_ ? out_ += std::string("\\S") + kMongolianSeparator : (set(kSpace, true), out_);
        break;
      case 'd':
      case 'D':
        set(category_members("Nd"), kind == 'D');
        break;
      case 'w':
      case 'W':
        set(word_members(), kind == 'W');
        break;
      case 'v':
        out_ += "\\x0B";
        break;
      default:
        out_.append(text_.substr(at_, 2));
        break;
    }
    at_ += 2;
  }

  /// Reads \p{L}, \p{^L}, \P{Lu} and \p{Han}: general categories and scripts.
  void property(bool negated) {
    const size_t end = text_.find('}', at_);
    if (peek(2) != '{' || end == std::string_view::npos) refuse("\\p without {name}");
    std::string name(text_.substr(at_ + 3, end - at_ - 3));
    if (name.starts_with("^")) {
      negated = !negated;
      name.erase(0, 1);
    }
    for (const char c : name) {
      if (!std::isalnum(static_cast<unsigned char>(c)) && c != '_') refuse("\\p{" + name + "}");
    }
    const bool category =
        (name.size() == 1 || name.size() == 2) && name.find_first_of("LMNPSZC") == 0;
    // Newly assigned characters leave "C": no addition can say so.
    if (category && name[0] == 'C') refuse("\\p{" + name + "}");
    set(category ? category_members(name) : script_members(name), negated);
    at_ = end + 1;
  }

  /// Reads \xHH, \x{H...}, \uHHHH and \u{H...}.
  void code_point(char kind) {
    const bool braces = peek(2) == '{';
    const size_t first = at_ + (braces ? 3 : 2);
    size_t end = first;
    const size_t most = braces ? 6 : kind == 'x' ? 2 : 4;
    while (end < text_.size() && end - first < most &&
           std::isxdigit(static_cast<unsigned char>(text_[end])))
      ++end;
    const bool complete =
        braces ? end > first && end < text_.size() && text_[end] == '}' : end - first == most;
    if (!complete) refuse(std::string("\\") + kind + " without its digits");
    out_ += "\\x{" + std::string(text_.substr(first, end - first)) + "}";
    at_ = end + (braces ? 1 : 0);
  }

  std::string_view text_;
  const std::string& where_;
  std::string out_;
  size_t at_ = 0;
  bool in_class_ = false;
};

}  // namespace

std::string to_pcre2(std::string_view pattern, const std::string& where) {
  return Translator(pattern, where).run();
}

}  // namespace longgen
