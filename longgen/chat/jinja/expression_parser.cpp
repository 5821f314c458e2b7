#include "longgen/chat/jinja/expression_parser.h"

#include <algorithm>

namespace longgen::jinja {
namespace {

// The evaluator, and what frees the tree, go as deep as the tree is. Real templates stay below 40.
constexpr int kMaxDepth = 200;

std::vector<ExpressionPtr> pair(ExpressionPtr first, ExpressionPtr second) {
  std::vector<ExpressionPtr> both;
  both.push_back(std::move(first));
  both.push_back(std::move(second));
  return both;
}

std::vector<ExpressionPtr> single(ExpressionPtr only) {
  std::vector<ExpressionPtr> one;
  one.push_back(std::move(only));
  return one;
}

Value make_text(const std::string& text) {
  return Value(Value::Storage(std::make_shared<const Text>(text, Origin::written)));
}

}  // namespace

ExpressionPtr ExpressionParser::make(ExpressionKind kind, int line, std::string name,
                                     std::vector<ExpressionPtr> children) {
  auto node = std::make_unique<Expression>(Expression{kind, line});
  node->name = std::move(name);
  node->children = std::move(children);
  return finish(std::move(node));
}

ExpressionPtr ExpressionParser::finish(ExpressionPtr node) {
  const auto include = [&node](const ExpressionPtr& child) {
    if (child) node->depth = std::max(node->depth, child->depth + 1);
  };
  for (const ExpressionPtr& child : node->children) include(child);
  for (const ExpressionPtr& child : node->arguments.positional) include(child);
  for (const auto& [name, child] : node->arguments.named) include(child);
  include(node->arguments.star);
  include(node->arguments.double_star);
  if (node->depth > kMaxDepth) {
    tokens_.fail("the template nests expressions deeper than ", kMaxDepth, " levels");
  }
  return node;
}

ExpressionPtr ExpressionParser::expression() {
  if (++nesting_ > kMaxDepth) {
    tokens_.fail("the template nests expressions deeper than ", kMaxDepth, " levels");
  }
  const int line = tokens_.line();
  ExpressionPtr value = either();
  while (tokens_.skip_name("if")) {
    std::vector<ExpressionPtr> parts = pair(either(), std::move(value));
    parts.push_back(tokens_.skip_name("else") ? expression() : nullptr);
    value = make(ExpressionKind::conditional, line, {}, std::move(parts));
  }
  --nesting_;
  return value;
}

ExpressionPtr ExpressionParser::either() {
  ExpressionPtr left = both();
  while (tokens_.is_name("or")) {
    const int line = tokens_.take().line;
    left = make(ExpressionKind::logic, line, "or", pair(std::move(left), both()));
  }
  return left;
}

ExpressionPtr ExpressionParser::both() {
  ExpressionPtr left = negation();
  while (tokens_.is_name("and")) {
    const int line = tokens_.take().line;
    left = make(ExpressionKind::logic, line, "and", pair(std::move(left), negation()));
  }
  return left;
}

ExpressionPtr ExpressionParser::negation() {
  std::vector<int> lines;
  while (tokens_.is_name("not")) lines.push_back(tokens_.take().line);
  ExpressionPtr node = comparison();
  for (; !lines.empty(); lines.pop_back()) {
    node = make(ExpressionKind::unary, lines.back(), "not", single(std::move(node)));
  }
  return node;
}

ExpressionPtr ExpressionParser::comparison() {
  static constexpr std::string_view kOperators[] = {"==", "!=", "<", "<=", ">", ">="};
  const int line = tokens_.line();
  std::vector<ExpressionPtr> sides = single(sum());
  std::vector<std::string> operators;
  while (true) {
    const Token& token = tokens_.current();
    const bool symbol =
        token.kind == TokenKind::symbol &&
        std::find(std::begin(kOperators), std::end(kOperators), token.text) != std::end(kOperators);
    if (symbol) {
      operators.push_back(tokens_.take().text);
    } else if (tokens_.skip_name("in")) {
      operators.emplace_back("in");
    } else if (tokens_.is_name("not") && tokens_.next().kind == TokenKind::name &&
               tokens_.next().text == "in") {
      tokens_.take();
      tokens_.take();
      operators.emplace_back("not in");
    } else {
      break;
    }
    sides.push_back(sum());
  }
  if (operators.empty()) return std::move(sides.front());
  ExpressionPtr node = make(ExpressionKind::compare, line, {}, std::move(sides));
  node->operators = std::move(operators);
  return node;
}

ExpressionPtr ExpressionParser::sum() {
  ExpressionPtr left = concatenation();
  while (tokens_.is_symbol("+") || tokens_.is_symbol("-")) {
    const Token sign = tokens_.take();
    left =
        make(ExpressionKind::binary, sign.line, sign.text, pair(std::move(left), concatenation()));
  }
  return left;
}

ExpressionPtr ExpressionParser::concatenation() {
  const int line = tokens_.line();
  std::vector<ExpressionPtr> parts = single(product());
  while (tokens_.skip_symbol("~")) parts.push_back(product());
  if (parts.size() == 1) return std::move(parts.front());
  return make(ExpressionKind::concat, line, {}, std::move(parts));
}

ExpressionPtr ExpressionParser::product() {
  ExpressionPtr left = power();
  while (tokens_.is_symbol("*") || tokens_.is_symbol("/") || tokens_.is_symbol("//") ||
         tokens_.is_symbol("%")) {
    const Token sign = tokens_.take();
    left = make(ExpressionKind::binary, sign.line, sign.text, pair(std::move(left), power()));
  }
  return left;
}

ExpressionPtr ExpressionParser::power() {
  ExpressionPtr left = unary();
  while (tokens_.is_symbol("**")) {
    const int line = tokens_.take().line;
    left = make(ExpressionKind::binary, line, "**", pair(std::move(left), unary()));
  }
  return left;
}

ExpressionPtr ExpressionParser::unary(bool with_filters) {
  ExpressionPtr node;
  if (tokens_.is_symbol("-") || tokens_.is_symbol("+")) {
    if (++nesting_ > kMaxDepth) {
      tokens_.fail("the template nests expressions deeper than ", kMaxDepth, " levels");
    }
    const Token sign = tokens_.take();
    node = make(ExpressionKind::unary, sign.line, sign.text, single(unary(false)));
    --nesting_;
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  return with_filters ? filtered(std::move(node)) : std::move(node);
}

ExpressionPtr ExpressionParser::constant(int line, Value value) {
  ExpressionPtr node = make(ExpressionKind::constant, line);
  node->value = std::move(value);
  return node;
}

ExpressionPtr ExpressionParser::primary(bool allow_members) {
  const int line = tokens_.line();
  if (tokens_.is(TokenKind::name)) {
    const std::string name = tokens_.take().text;
    if (name == "true" || name == "True") return constant(line, Value(true));
    if (name == "false" || name == "False") return constant(line, Value(false));
    if (name == "none" || name == "None") return constant(line, Value());
    names_read.insert(name);
    if (!allow_members || !tokens_.skip_symbol(".")) return make(ExpressionKind::name, line, name);
    ExpressionPtr member = make(ExpressionKind::member, line, name);
    member->value = make_text(tokens_.take_name("the name of an attribute"));
    return member;
  }
  if (tokens_.is(TokenKind::string)) {
    std::string text;
    while (tokens_.is(TokenKind::string)) text += tokens_.take().text;
    return constant(line, make_text(text));
  }
  if (tokens_.is(TokenKind::integer)) return constant(line, Value(tokens_.take().integer));
  if (tokens_.is(TokenKind::number)) return constant(line, Value(tokens_.take().number));
  if (tokens_.is_symbol("[")) return list();
  if (tokens_.is_symbol("{")) return dict();
  if (!tokens_.skip_symbol("(")) tokens_.unexpected("an expression");
  if (tokens_.skip_symbol(")")) return make(ExpressionKind::tuple, line);
  ExpressionPtr inside = tuple(true);
  tokens_.expect_symbol(")");
  return inside;
}

ExpressionPtr ExpressionParser::tuple(bool conditions, std::string_view end_name) {
  const int line = tokens_.line();
  std::vector<ExpressionPtr> items;
  bool commas = false;
  while (true) {
    const bool ends = tokens_.is(TokenKind::print_end) || tokens_.is(TokenKind::block_end) ||
                      tokens_.is_symbol(")") || (!end_name.empty() && tokens_.is_name(end_name));
    if (ends) break;
    items.push_back(conditions ? expression() : either());
    if (!tokens_.skip_symbol(",")) break;
    commas = true;
  }
  if (items.empty()) tokens_.unexpected("an expression");
  if (!commas) return std::move(items.front());
  return make(ExpressionKind::tuple, line, {}, std::move(items));
}

ExpressionPtr ExpressionParser::target(bool allow_members, std::string_view end_name) {
  const int line = tokens_.line();
  std::vector<ExpressionPtr> items;
  bool commas = false;
  while (true) {
    const bool ends = tokens_.is(TokenKind::block_end) || tokens_.is_symbol(")") ||
                      (!end_name.empty() && tokens_.is_name(end_name));
    if (ends) break;
    if (tokens_.skip_symbol("(")) {
      if (++nesting_ > kMaxDepth) tokens_.fail("the template nests too deep");
      items.push_back(target(allow_members));
      --nesting_;
      tokens_.expect_symbol(")");
    } else {
      items.push_back(primary(allow_members));
    }
    const ExpressionKind kind = items.back()->kind;
    const bool assignable = kind == ExpressionKind::name || kind == ExpressionKind::tuple ||
                            kind == ExpressionKind::member;
    if (!assignable) tokens_.fail_at(line, "expected a name to assign to");
    if (!tokens_.skip_symbol(",")) break;
    commas = true;
  }
  if (items.empty()) tokens_.unexpected("a name to assign to");
  if (!commas) return std::move(items.front());
  return make(ExpressionKind::tuple, line, {}, std::move(items));
}

ExpressionPtr ExpressionParser::name_target() {
  const int line = tokens_.line();
  return make(ExpressionKind::name, line, tokens_.take_name("a name"));
}

ExpressionPtr ExpressionParser::list() {
  const int line = tokens_.line();
  tokens_.expect_symbol("[");
  std::vector<ExpressionPtr> items;
  while (!tokens_.is_symbol("]")) {
    items.push_back(expression());
    if (!tokens_.skip_symbol(",")) break;
  }
  tokens_.expect_symbol("]");
  return make(ExpressionKind::list, line, {}, std::move(items));
}

ExpressionPtr ExpressionParser::dict() {
  const int line = tokens_.line();
  tokens_.expect_symbol("{");
  std::vector<ExpressionPtr> items;
  while (!tokens_.is_symbol("}")) {
    items.push_back(expression());
    tokens_.expect_symbol(":");
    items.push_back(expression());
    if (!tokens_.skip_symbol(",")) break;
  }
  tokens_.expect_symbol("}");
  return make(ExpressionKind::dict, line, {}, std::move(items));
}

}  // namespace longgen::jinja
