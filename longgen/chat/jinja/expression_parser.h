// chat/jinja/expression_parser.h: what stands inside of tags.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "longgen/chat/jinja/ast.h"
#include "longgen/chat/jinja/token_stream.h"

namespace longgen::jinja {

class ExpressionParser {
 public:
  explicit ExpressionParser(TokenStream& tokens) : tokens_(tokens) {}

  ExpressionPtr expression();
  /// Like expression(), but without a trailing "if": where one begins a clause of the statement.
  ExpressionPtr expression_without_condition() { return either(); }
  /// One expression, or several with commas between them as a tuple. Ends before the name
  /// `end_name` too.
  ExpressionPtr tuple(bool conditions, std::string_view end_name = {});
  /// What set and for assign to: names, tuples of names, and for set attributes of a namespace.
  ExpressionPtr target(bool allow_members, std::string_view end_name = {});
  ExpressionPtr name_target();
  /// The filters of a filter block or of a set block: `| name(arguments)` and so on. `inside` is
  /// what they are applied to, nullptr for the block; `started` says that the first name comes
  /// without a bar.
  ExpressionPtr filters(ExpressionPtr inside, bool started);

  /// Names that have been read; the parser of statements looks for caller, varargs and kwargs.
  std::set<std::string> names_read;

 private:
  ExpressionPtr make(ExpressionKind kind, int line, std::string name = {},
                     std::vector<ExpressionPtr> children = {});
  ExpressionPtr either();
  ExpressionPtr both();
  ExpressionPtr negation();
  ExpressionPtr comparison();
  ExpressionPtr sum();
  ExpressionPtr concatenation();
  ExpressionPtr product();
  ExpressionPtr power();
  ExpressionPtr unary(bool with_filters = true);
  ExpressionPtr primary(bool allow_members = false);
  ExpressionPtr constant(int line, Value value);
  ExpressionPtr postfix(ExpressionPtr node);
  ExpressionPtr filtered(ExpressionPtr node);
  ExpressionPtr subscript(ExpressionPtr node);
  ExpressionPtr subscript_item();
  ExpressionPtr call(ExpressionPtr node);
  ExpressionPtr test(ExpressionPtr node);
  ExpressionPtr list();
  ExpressionPtr dict();
  ArgumentList arguments();
  std::string dotted_name(std::string_view what);
  /// Sets the depth of a node whose children and arguments are complete.
  ExpressionPtr finish(ExpressionPtr node);

  TokenStream& tokens_;
  int nesting_ = 0;
};

}  // namespace longgen::jinja
