// chat/jinja/ast.h: a template as the parser gives it and the evaluator runs it.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "longgen/chat/jinja/value.h"

namespace longgen::jinja {

struct Expression;
struct Statement;
using ExpressionPtr = std::unique_ptr<Expression>;
using Block = std::vector<std::unique_ptr<Statement>>;

/// f(1, *more, name=2, **others).
struct ArgumentList {
  std::vector<ExpressionPtr> positional;
  std::vector<std::pair<std::string, ExpressionPtr>> named;
  ExpressionPtr star, double_star;
};

enum class ExpressionKind {
  constant,     ///< value
  name,         ///< name
  list,         ///< children
  tuple,        ///< children
  dict,         ///< children: key, value, key, value...
  attribute,    ///< children[0].name
  item,         ///< children[0][children[1]]
  slice,        ///< begin:end:step as children, each of which may be missing
  call,         ///< children[0](arguments)
  filter,       ///< children[0] | name(arguments); in a filter block the first has no child
  test,         ///< children[0] is name(arguments)
  unary,        ///< name children[0]: "-", "+", "not"
  binary,       ///< children[0] name children[1]: "+", "-", "*", "/", "//", "%", "**"
  logic,        ///< children[0] name children[1]: "and", "or"
  compare,      ///< children[0] operators[0] children[1] operators[1] ...
  concat,       ///< children[0] ~ children[1] ~ ...
  conditional,  ///< children[1] if children[0] else children[2], which may be missing
  member,       ///< name.attribute as the target of set: name and text of `value`
};

struct Expression {
  ExpressionKind kind;
  int line;
  int depth = 1;  ///< of the tree from here
  std::string name = {};
  Value value = {};
  std::vector<ExpressionPtr> children = {};
  std::vector<std::string> operators = {};
  ArgumentList arguments = {};
};

enum class StatementKind {
  text,          ///< value: what stands outside of tags
  print,         ///< expression
  choice,        ///< if and elif: branches, else: otherwise
  loop,          ///< for target in expression if condition: body, else: otherwise
  assign,        ///< set target = expression
  assign_block,  ///< set target | expression: body; the filters may be missing
  macro,         ///< name(parameters): body
  call_block,    ///< call(parameters) expression: body
  filter_block,  ///< filter expression: body
  with,          ///< with parameters: body
  generation,    ///< what the model said, for training: body
  leave_loop,    ///< break
  next_item,     ///< continue
};

/// A parameter of a macro with its default, or a name of with and its value.
struct Parameter {
  ExpressionPtr target, value;
};

/// The condition of an if or elif, and what stands under it.
struct Branch {
  ExpressionPtr condition;
  Block body;
};

struct Statement {
  StatementKind kind;
  int line;
  std::string name = {};
  Value value = {};
  ExpressionPtr expression = nullptr, target = nullptr, condition = nullptr;
  Block body = {}, otherwise = {};
  std::vector<Branch> branches = {};
  std::vector<Parameter> parameters = {};
  /// Whether the body of a macro names these.
  bool uses_caller = false, uses_varargs = false, uses_kwargs = false;
};

}  // namespace longgen::jinja
