// What may follow a value: attributes, items, calls, filters and tests.
#include "longgen/chat/jinja/expression_parser.h"

namespace longgen::jinja {

ExpressionPtr ExpressionParser::postfix(ExpressionPtr node) {
  while (true) {
    if (tokens_.is_symbol(".") || tokens_.is_symbol("[")) {
      node = subscript(std::move(node));
    } else if (tokens_.is_symbol("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::filtered(ExpressionPtr node) {
  while (true) {
    if (tokens_.is_symbol("|")) {
      node = filters(std::move(node), false);
    } else if (tokens_.is_name("is")) {
      node = test(std::move(node));
    } else if (tokens_.is_symbol("(")) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExpressionPtr ExpressionParser::subscript(ExpressionPtr node) {
  const int line = tokens_.line();
  std::vector<ExpressionPtr> children;
  children.push_back(std::move(node));
  if (tokens_.skip_symbol(".")) {
    if (tokens_.is(TokenKind::name)) {
      return make(ExpressionKind::attribute, line, tokens_.take().text, std::move(children));
    }
    if (!tokens_.is(TokenKind::integer)) tokens_.unexpected("the name of an attribute");
    children.push_back(constant(line, Value(tokens_.take().integer)));
    return make(ExpressionKind::item, line, {}, std::move(children));
  }
  tokens_.expect_symbol("[");
  std::vector<ExpressionPtr> items;
  while (!tokens_.is_symbol("]")) {
    items.push_back(subscript_item());
    if (!tokens_.skip_symbol(",")) break;
  }
  tokens_.expect_symbol("]");
  children.push_back(items.size() == 1 ? std::move(items.front())
                                       : make(ExpressionKind::tuple, line, {}, std::move(items)));
  return make(ExpressionKind::item, line, {}, std::move(children));
}

ExpressionPtr ExpressionParser::subscript_item() {
  const int line = tokens_.line();
  std::vector<ExpressionPtr> parts(3);
  if (!tokens_.is_symbol(":")) {
    parts[0] = expression();
    if (!tokens_.is_symbol(":")) return std::move(parts[0]);
  }
  const auto at_end = [this] { return tokens_.is_symbol("]") || tokens_.is_symbol(","); };
  tokens_.expect_symbol(":");
  if (!tokens_.is_symbol(":") && !at_end()) parts[1] = expression();
  if (tokens_.skip_symbol(":") && !at_end()) parts[2] = expression();
  return make(ExpressionKind::slice, line, {}, std::move(parts));
}

ArgumentList ExpressionParser::arguments() {
  ArgumentList list;
  const int line = tokens_.line();
  tokens_.expect_symbol("(");
  const auto in_order = [&](bool holds) {
    if (!holds) tokens_.fail_at(line, "the arguments of a call are not in order");
  };
  while (!tokens_.is_symbol(")")) {
    if (tokens_.skip_symbol("*")) {
      in_order(!list.star && !list.double_star);
      list.star = expression();
    } else if (tokens_.skip_symbol("**")) {
      in_order(!list.double_star);
      list.double_star = expression();
    } else if (tokens_.is(TokenKind::name) && tokens_.next().kind == TokenKind::symbol &&
               tokens_.next().text == "=") {
      in_order(!list.double_star);
      std::string name = tokens_.take().text;
      tokens_.take();
      for (const auto& [other, value] : list.named) {
        if (other == name) tokens_.fail("the argument ", name, " is given twice");
      }
      list.named.emplace_back(std::move(name), expression());
    } else {
      in_order(!list.star && !list.double_star && list.named.empty());
      list.positional.push_back(expression());
    }
    if (!tokens_.skip_symbol(",")) break;
  }
  tokens_.expect_symbol(")");
  return list;
}

ExpressionPtr ExpressionParser::call(ExpressionPtr node) {
  auto call = std::make_unique<Expression>(Expression{ExpressionKind::call, tokens_.line()});
  call->children.push_back(std::move(node));
  call->arguments = arguments();
  return finish(std::move(call));
}

std::string ExpressionParser::dotted_name(std::string_view what) {
  std::string name = tokens_.take_name(what);
  while (tokens_.skip_symbol(".")) name += "." + tokens_.take_name(what);
  return name;
}

ExpressionPtr ExpressionParser::filters(ExpressionPtr inside, bool started) {
  while (started || tokens_.skip_symbol("|")) {
    started = false;
    auto filter = std::make_unique<Expression>(Expression{ExpressionKind::filter, tokens_.line()});
    filter->name = dotted_name("the name of a filter");
    filter->children.push_back(std::move(inside));
    if (tokens_.is_symbol("(")) filter->arguments = arguments();
    inside = finish(std::move(filter));
  }
  return inside;
}

ExpressionPtr ExpressionParser::test(ExpressionPtr node) {
  tokens_.expect_name("is");
  const int line = tokens_.line();
  const bool negated = tokens_.skip_name("not");
  auto test = std::make_unique<Expression>(Expression{ExpressionKind::test, line});
  test->name = dotted_name("the name of a test");
  test->children.push_back(std::move(node));
  const Token& token = tokens_.current();
  const bool value = token.kind == TokenKind::name || token.kind == TokenKind::string ||
                     token.kind == TokenKind::integer || token.kind == TokenKind::number ||
                     tokens_.is_symbol("[") || tokens_.is_symbol("{");
  if (tokens_.is_symbol("(")) {
    test->arguments = arguments();
  } else if (value && !tokens_.is_name("else") && !tokens_.is_name("or") &&
             !tokens_.is_name("and")) {
    if (tokens_.is_name("is")) tokens_.fail("tests cannot be chained with is");
    test->arguments.positional.push_back(postfix(primary()));
  }
  ExpressionPtr done = finish(std::move(test));
  if (!negated) return done;
  std::vector<ExpressionPtr> children;
  children.push_back(std::move(done));
  return make(ExpressionKind::unary, line, "not", std::move(children));
}

}  // namespace longgen::jinja
