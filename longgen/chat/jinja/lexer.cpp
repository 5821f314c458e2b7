#include "longgen/chat/jinja/lexer.h"

#include <algorithm>
#include <charconv>

#include "longgen/base/check.h"
#include "longgen/chat/jinja/characters.h"
#include "longgen/tokenizer/unicode.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen::jinja {
namespace {

bool is_ascii_digit(char c) { return c >= '0' && c <= '9'; }

/// Every line break as "\n", without the last one.
std::string with_plain_lines(std::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\r') {
      plain.push_back(text[i]);
    } else if (i + 1 == text.size() || text[i + 1] != '\n') {
      plain.push_back('\n');
    }
  }
  if (plain.ends_with('\n')) plain.pop_back();
  return plain;
}

class Lexer {
 public:
  Lexer(std::string_view text, const std::string& source)
      : source_(source), text_(with_plain_lines(text)) {}

  std::vector<Token> run() {
    while (at_ < text_.size()) read_text();
    tokens_.push_back({TokenKind::end, line_});
    return std::move(tokens_);
  }

 private:
  template <typename... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    LG_FAIL(source_, ":", line_, ": ", parts...);
  }

  std::string_view rest() const { return std::string_view(text_).substr(at_); }
  bool looking_at(std::string_view what) const { return rest().starts_with(what); }

  /// Goes on by some bytes and counts their lines.
  void skip(size_t bytes) {
    const auto begin = text_.begin() + static_cast<std::ptrdiff_t>(at_);
    line_ += static_cast<int>(std::count(begin, begin + static_cast<std::ptrdiff_t>(bytes), '\n'));
    at_ += bytes;
    if (bytes > 0) line_starts_ = text_[at_ - 1] == '\n';
  }

  void skip_space() { skip(leading_space(rest())); }

  void push(TokenKind kind, std::string text = {}) {
    tokens_.push_back({kind, line_, std::move(text)});
  }

  /// Text up to the next tag, and the tag.
  void read_text() {
    size_t tag = at_;
    while (true) {
      tag = text_.find('{', tag);
      if (tag == std::string::npos || tag + 1 >= text_.size())
        return emit_text(text_.size(), '+', '{');
      if (std::string_view("{%#").find(text_[tag + 1]) != std::string_view::npos) break;
      ++tag;
    }
    const char kind = text_[tag + 1];
    const char next = tag + 2 < text_.size() ? text_[tag + 2] : ' ';
    const char sign = next == '-' || next == '+' ? next : ' ';
    emit_text(tag, sign, kind);
    if (kind == '%' && read_raw()) return;
    const TokenKind begin = kind == '{' ? TokenKind::print_begin : TokenKind::block_begin;
    if (kind != '#') push(begin);
    skip(sign == ' ' ? 2 : 3);
    if (kind == '#') return skip_comment();
    read_tag(kind);
  }

  /// The text from here to `end`, where a tag of this kind and sign begins.
  void emit_text(size_t end, char sign, char kind) {
    std::string_view text = std::string_view(text_).substr(at_, end - at_);
    if (sign == '-') {
      text.remove_suffix(trailing_space(text));
    } else if (sign != '+' && kind != '{') {
      const size_t line = text.rfind('\n') + 1;  // 0 where there is none
      const bool from_start = line > 0 || line_starts_;
      if (from_start && leading_space(text.substr(line)) == text.size() - line) {
        text = text.substr(0, line);
      }
    }
    if (!text.empty()) push(TokenKind::text, std::string(text));
    skip(end - at_);
  }

  void skip_comment() {
    const size_t end = text_.find("#}", at_);
    if (end == std::string::npos) fail("a comment {# has no end #}");
    const char sign = end > at_ ? text_[end - 1] : ' ';
    skip(end + 2 - at_);
    if (sign == '-') return skip_space();
    if (sign != '+' && looking_at("\n")) skip(1);
  }

  /// {% raw %} up to {% endraw %}; false when no such block begins here.
  bool read_raw() {
    size_t length = block_word(at_, "raw");
    if (length == 0) return false;
    size_t end = at_ + length;
    if (text_.compare(end, 3, "-%}") == 0) {
      end += 3;
      end += leading_space(std::string_view(text_).substr(end));
    } else if (text_.compare(end, 2, "%}") == 0) {
      end += 2;
    } else {
      return false;
    }
    skip(end - at_);
    size_t tag = at_;
    while (true) {
      tag = text_.find("{%", tag);
      if (tag == std::string::npos) fail("{% raw %} has no {% endraw %}");
      length = block_word(tag, "endraw");
      if (length > 0 && block_ends_at(tag + length)) break;
      tag += 2;
    }
    const char sign = text_[tag + 2];
    emit_text(tag, sign == '-' || sign == '+' ? sign : ' ', '%');
    skip(length);
    end_block();
    return true;
  }

  /// The length of "{%- word " at `at`, 0 when something else stands there.
  size_t block_word(size_t at, std::string_view word) const {
    const size_t begin = at;
    at += 2;
    if (at < text_.size() && (text_[at] == '-' || text_[at] == '+')) ++at;
    at += leading_space(std::string_view(text_).substr(at));
    if (text_.compare(at, word.size(), word) != 0) return 0;
    at += word.size();
    return at + leading_space(std::string_view(text_).substr(at)) - begin;
  }

  bool block_ends_at(size_t at) const {
    const size_t sign = at < text_.size() && (text_[at] == '-' || text_[at] == '+') ? 1 : 0;
    return text_.compare(at + sign, 2, "%}") == 0;
  }

  /// Takes the end of a block with the space that goes with it.
  void end_block() {
    if (looking_at("-%}")) {
      skip(3);
      return skip_space();
    }
    if (looking_at("+%}")) return skip(3);
    skip(2);
    if (looking_at("\n")) skip(1);
  }

  /// Everything of one tag, up to and with its end.
  void read_tag(char kind) {
    const std::string close = kind == '{' ? "}}" : "%}";
    std::string open;  // brackets that are to be closed
    while (at_ < text_.size()) {
      if (open.empty() && ends_here(kind)) return;
      if (const size_t space = leading_space(rest()); space > 0) {
        skip(space);
        continue;
      }
      read_token(open);
    }
    fail("a tag has no end ", close);
  }

  bool ends_here(char kind) {
    if (kind == '%') {
      if (!block_ends_at(at_)) return false;
      push(TokenKind::block_end);
      end_block();
      return true;
    }
    if (!looking_at("}}") && !looking_at("-}}")) return false;
    push(TokenKind::print_end);
    const bool trims = looking_at("-");
    skip(trims ? 3 : 2);
    if (trims) skip_space();
    return true;
  }

  void read_token(std::string& open) {
    const char c = text_[at_];
    if (is_ascii_digit(c)) return read_number();
    if (c == '"' || c == '\'') return read_string();
    const size_t name = name_length();
    if (name > 0) {
      push(TokenKind::name, text_.substr(at_, name));
      return skip(name);
    }
    read_symbol(open);
  }

  size_t name_length() const {
    size_t at = at_;
    while (at < text_.size()) {
      const Utf8Char c = decode_utf8(text_, at);
      if (c.code_point != '_' && !is_word_char(c.code_point)) break;
      at += c.length;
    }
    return at - at_;
  }

  size_t digits_length(size_t at, bool (*is_one)(char)) const {
    const size_t begin = at;
    while (at < text_.size() && (is_one(text_[at]) || (text_[at] == '_' && at > begin))) ++at;
    while (at > begin && text_[at - 1] == '_') --at;
    return at - begin;
  }

  void read_number() {
    const size_t whole = digits_length(at_, is_ascii_digit);
    size_t end = at_ + whole;
    const bool after_dot = at_ > 0 && text_[at_ - 1] == '.';
    bool fraction = false;
    const auto digits_at = [this](size_t at) {
      return at < text_.size() && is_ascii_digit(text_[at]);
    };
    if (!after_dot && text_.compare(end, 1, ".") == 0 && digits_at(end + 1)) {
      end += 1 + digits_length(end + 1, is_ascii_digit);
      fraction = true;
    }
    if (!after_dot && end < text_.size() && (text_[end] == 'e' || text_[end] == 'E')) {
      const size_t sign =
          end + 1 < text_.size() && (text_[end + 1] == '-' || text_[end + 1] == '+');
      if (digits_at(end + 1 + sign)) {
        end += 1 + sign + digits_length(end + 1 + sign, is_ascii_digit);
        fraction = true;
      }
    }
    if (!fraction) return read_integer(whole);
    std::string digits = text_.substr(at_, end - at_);
    std::erase(digits, '_');
    Token token{TokenKind::number, line_};
    const auto read = std::from_chars(digits.data(), digits.data() + digits.size(), token.number);
    if (read.ec != std::errc()) fail("the number ", digits, " is out of range");
    tokens_.push_back(std::move(token));
    skip(end - at_);
  }

  void read_integer(size_t length) {
    int base = 10;
    size_t prefix = 0;
    if (text_[at_] == '0' && at_ + 1 < text_.size()) {
      const char mark = text_[at_ + 1];
      base = mark == 'x' || mark == 'X'   ? 16
             : mark == 'o' || mark == 'O' ? 8
             : mark == 'b' || mark == 'B' ? 2
                                          : 10;
      prefix = base == 10 ? 0 : 2;
    }
    if (prefix > 0) {
      length =
          2 + digits_length(
                  at_ + 2,
                  base == 16
                      ? [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; }
                  : base == 8 ? [](char c) { return c >= '0' && c <= '7'; }
                              : [](char c) { return c == '0' || c == '1'; });
    } else if (text_[at_] == '0') {
      // Python has no other number that begins with 0.
      length = digits_length(at_, [](char c) { return c == '0'; });
    }
    std::string digits = text_.substr(at_ + prefix, length - prefix);
    std::erase(digits, '_');
    Token token{TokenKind::integer, line_};
    const auto read =
        std::from_chars(digits.data(), digits.data() + digits.size(), token.integer, base);
    if (read.ec != std::errc())
      fail("the number ", text_.substr(at_, length), " is no integer of 64 bits");
    tokens_.push_back(std::move(token));
    skip(length);
  }

  void read_string() {
    const char quote = text_[at_];
    const int line = line_;
    size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != quote) end += text_[end] == '\\' ? 2 : 1;
    if (end >= text_.size()) fail("a string has no end ", quote);
    const std::string_view inner = std::string_view(text_).substr(at_ + 1, end - at_ - 1);
    std::string problem;
    std::string value = unescape(inner, problem);
    if (!problem.empty()) fail(problem);
    tokens_.push_back({TokenKind::string, line, std::move(value)});
    skip(end + 1 - at_);
  }

  void read_symbol(std::string& open) {
    static constexpr std::string_view kLong[] = {"//", "**", "==", "!=", ">=", "<="};
    static constexpr std::string_view kShort = "+-/*%~[](){}><=.:|,;";
    for (const std::string_view symbol : kLong) {
      if (!looking_at(symbol)) continue;
      push(TokenKind::symbol, std::string(symbol));
      return skip(symbol.size());
    }
    const char c = text_[at_];
    if (kShort.find(c) == std::string_view::npos) {
      fail("unexpected character '", rest().substr(0, decode_utf8(text_, at_).length), "'");
    }
    static constexpr std::string_view kOpen = "([{", kClose = ")]}";
    if (const size_t which = kOpen.find(c); which != std::string_view::npos)
      open.push_back(kClose[which]);
    if (kClose.find(c) != std::string_view::npos) {
      if (open.empty()) fail("unexpected '", c, "'");
      if (open.back() != c) fail("unexpected '", c, "', expected '", open.back(), "'");
      open.pop_back();
    }
    push(TokenKind::symbol, std::string(1, c));
    skip(1);
  }

  const std::string& source_;
  std::string text_;
  size_t at_ = 0;
  int line_ = 1;
  bool line_starts_ = true;  // nothing stands before at_ on its line
  std::vector<Token> tokens_;
};

}  // namespace

std::vector<Token> tokenize(std::string_view text, const std::string& source) {
  return Lexer(text, source).run();
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::print_end:
      return "}}";
    case TokenKind::block_end:
      return "%}";
    case TokenKind::name:
    case TokenKind::symbol:
      return token.text;
    case TokenKind::string:
      return "a string";
    case TokenKind::integer:
    case TokenKind::number:
      return "a number";
    case TokenKind::end:
      return "the end of the template";
    default:
      return "text";
  }
}

}  // namespace longgen::jinja
