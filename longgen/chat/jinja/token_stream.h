// chat/jinja/token_stream.h: the tokens of a template, one by one.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/chat/jinja/lexer.h"

namespace longgen::jinja {

class TokenStream {
 public:
  TokenStream(std::vector<Token> tokens, std::string source)
      : tokens_(std::move(tokens)), source_(std::move(source)) {}

  const Token& current() const { return tokens_[at_]; }
  /// The token after that; the end stays the end.
  const Token& next() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  int line() const { return current().line; }
  Token take() {
    Token token = current();
    if (token.kind != TokenKind::end) ++at_;
    return token;
  }

  bool is(TokenKind kind) const { return current().kind == kind; }
  bool is_symbol(std::string_view symbol) const {
    return is(TokenKind::symbol) && current().text == symbol;
  }
  bool is_name(std::string_view name) const {
    return is(TokenKind::name) && current().text == name;
  }
  bool skip_symbol(std::string_view symbol) { return is_symbol(symbol) && skip(); }
  bool skip_name(std::string_view name) { return is_name(name) && skip(); }

  void expect(TokenKind kind, std::string_view what) {
    if (!is(kind)) unexpected(what);
    skip();
  }
  void expect_symbol(std::string_view symbol) {
    if (!skip_symbol(symbol)) unexpected(symbol);
  }
  void expect_name(std::string_view name) {
    if (!skip_name(name)) unexpected(name);
  }
  std::string take_name(std::string_view what) {
    if (!is(TokenKind::name)) unexpected(what);
    return take().text;
  }

  [[noreturn]] void unexpected(std::string_view expected) const {
    fail("expected ", expected, ", found ", describe(current()));
  }
  template <typename... Parts>
  [[noreturn]] void fail(const Parts&... parts) const {
    fail_at(line(), parts...);
  }
  template <typename... Parts>
  [[noreturn]] void fail_at(int line, const Parts&... parts) const {
    LG_FAIL(source_, ":", line, ": ", parts...);
  }

 private:
  bool skip() {
    take();
    return true;
  }

  std::vector<Token> tokens_;
  std::string source_;
  size_t at_ = 0;
};

}  // namespace longgen::jinja
