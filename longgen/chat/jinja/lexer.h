// chat/jinja/lexer.h: a template cut into its tokens.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longgen::jinja {

enum class TokenKind {
  text,
  print_begin,
  print_end,
  block_begin,
  block_end,
  name,
  string,
  integer,
  number,
  symbol,
  end
};

struct Token {
  TokenKind kind;
  int line;
  std::string text = {};  ///< of text and strings what they say, of names and symbols themselves
  int64_t integer = 0;
  double number = 0;
};

/// Cuts a template as transformers has Jinja do it: a tag of statements takes the line break after
/// it along (trim_blocks) and the blanks before it on its line (lstrip_blocks), and one line break
/// at the end of the template is dropped. Throws Error "source:line: ..." on what is no token.
std::vector<Token> tokenize(std::string_view text, const std::string& source);

/// How a token reads in a message.
std::string describe(const Token& token);

}  // namespace longgen::jinja
