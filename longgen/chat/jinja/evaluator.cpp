#include "longgen/chat/jinja/evaluator.h"

#include "longgen/chat/jinja/filters.h"
#include "longgen/chat/jinja/functions.h"
#include "longgen/chat/jinja/operators.h"

namespace longgen::jinja {

Value Evaluator::make_namespace() {
  budget.take(256);
  return Value(Value::Storage(&namespaces_.emplace_back()));
}

Value Evaluator::name(const std::string& name) const {
  for (const Scope* scope = scope_.get(); scope != nullptr; scope = scope->outer.get()) {
    if (const auto it = scope->names.find(name); it != scope->names.end()) return it->second;
  }
  if (const auto it = variables_.find(name); it != variables_.end()) return it->second;
  const auto& functions = global_functions();
  if (const auto it = functions.find(name); it != functions.end()) return it->second;
  return Value::undefined("'" + name + "' is undefined");
}

Value Evaluator::evaluate(const Expression& expression) {
  const Budget::Nesting nesting(budget);
  budget.step();
  line_ = expression.line;
  return apply(expression);
}

Value Evaluator::apply(const Expression& expression) {
  const auto& children = expression.children;
  switch (expression.kind) {
    case ExpressionKind::constant:
      return expression.value;
    case ExpressionKind::name:
      return name(expression.name);
    case ExpressionKind::list:
    case ExpressionKind::tuple:
      return collection(expression);
    case ExpressionKind::dict:
      return dict_of(expression);
    case ExpressionKind::attribute: {
      const Value object = evaluate(*children[0]);
      line_ = expression.line;
      return get_attribute(*this, object, expression.name);
    }
    case ExpressionKind::item:
      return item(expression);
    case ExpressionKind::call: {
      const Value callee = evaluate(*children[0]);
      CallArguments arguments = evaluate_arguments(expression.arguments);
      line_ = expression.line;
      return call(callee, std::move(arguments));
    }
    case ExpressionKind::filter:
      return filter(expression);
    case ExpressionKind::test: {
      const Value value = evaluate(*children[0]);
      CallArguments arguments = evaluate_arguments(expression.arguments);
      line_ = expression.line;
      return Value(apply_test(*this, expression.name, value, std::move(arguments)));
    }
    case ExpressionKind::unary:
      return unary(expression);
    case ExpressionKind::binary: {
      const Value left = evaluate(*children[0]), right = evaluate(*children[1]);
      line_ = expression.line;
      return binary(*this, expression.name, left, right);
    }
    case ExpressionKind::logic: {
      const Value left = evaluate(*children[0]);
      const bool decided = truth(left) == (expression.name == "or");
      return decided ? left : evaluate(*children[1]);
    }
    case ExpressionKind::compare:
      return compare(expression);
    case ExpressionKind::concat:
      return concatenate(expression);
    case ExpressionKind::conditional:
      if (truth(evaluate(*children[0]))) return evaluate(*children[1]);
      if (children[2]) return evaluate(*children[2]);
      return Value::undefined(
          "the inline if-expression evaluated to false and has no else section");
    case ExpressionKind::slice:
    case ExpressionKind::member:
      break;
  }
  fail("a slice or an attribute of a namespace cannot stand here");
}

Value Evaluator::or_none(const ExpressionPtr& expression) {
  return expression ? evaluate(*expression) : Value();
}

Value Evaluator::item(const Expression& expression) {
  const Value object = evaluate(*expression.children[0]);
  const Expression& key = *expression.children[1];
  if (key.kind != ExpressionKind::slice) {
    const Value index = evaluate(key);
    line_ = expression.line;
    return get_item(*this, object, index);
  }
  const Value begin = or_none(key.children[0]), end = or_none(key.children[1]);
  const Value step = or_none(key.children[2]);
  line_ = expression.line;
  return get_slice(*this, object, begin, end, step);
}

Value Evaluator::unary(const Expression& expression) {
  const Value value = evaluate(*expression.children[0]);
  line_ = expression.line;
  if (expression.name == "not") return Value(!truth(value));
  return sign(expression.name, value);
}

Value Evaluator::compare(const Expression& expression) {
  Value left = evaluate(*expression.children[0]);
  for (size_t i = 0; i < expression.operators.size(); ++i) {
    Value right = evaluate(*expression.children[i + 1]);
    line_ = expression.line;
    const std::string& symbol = expression.operators[i];
    bool holds = false;
    if (symbol == "==" || symbol == "!=") {
      holds = equal(budget, left, right) == (symbol == "==");
    } else if (symbol == "in" || symbol == "not in") {
      holds = contains(*this, left, right) == (symbol == "in");
    } else {
      holds = ordered(budget, left, symbol.c_str(), right);
    }
    if (!holds) return Value(false);
    left = std::move(right);
  }
  return Value(true);
}

Value Evaluator::concatenate(const Expression& expression) {
  TextBuilder joined(budget);
  for (const ExpressionPtr& part : expression.children) {
    joined.append(to_text(*this, evaluate(*part)));
  }
  return text(joined.take());
}

Value Evaluator::collection(const Expression& expression) {
  Values items;
  items.reserve(expression.children.size());
  for (const ExpressionPtr& child : expression.children) items.push_back(evaluate(*child));
  const bool list = expression.kind == ExpressionKind::list;
  return sequence(std::move(items), list ? SequenceKind::list : SequenceKind::tuple);
}

Value Evaluator::dict_of(const Expression& expression) {
  Dict made;
  for (size_t i = 0; i + 1 < expression.children.size(); i += 2) {
    const Value key = evaluate(*expression.children[i]);
    made.set(budget, key, evaluate(*expression.children[i + 1]));
  }
  return dict(std::move(made));
}

Value Evaluator::filter(const Expression& expression) {
  const ExpressionPtr& input = expression.children[0];
  const Value value = input ? evaluate(*input) : *block_input_;
  CallArguments arguments = evaluate_arguments(expression.arguments);
  line_ = expression.line;
  return apply_filter(*this, expression.name, value, std::move(arguments));
}

CallArguments Evaluator::evaluate_arguments(const ArgumentList& list) {
  CallArguments arguments;
  for (const ExpressionPtr& value : list.positional) {
    arguments.positional.push_back(evaluate(*value));
  }
  for (const auto& [name, value] : list.named) arguments.named.emplace_back(name, evaluate(*value));
  if (list.star) {
    for (Value& value : collect(*this, evaluate(*list.star))) {
      arguments.positional.push_back(std::move(value));
    }
  }
  if (list.double_star) {
    const Value more = evaluate(*list.double_star);
    if (!more.is_dict()) fail("argument after ** must be a mapping, not ", type_name(more));
    budget.take(more.dict().items().size() * 128);
    for (const Dict::Item& item : more.dict().items()) {
      const std::string& name = require_text(item.key, "argument after **").bytes();
      for (const auto& [other, value] : list.named) {
        budget.step();
        if (other == name) fail("got multiple values for keyword argument '", name, "'");
      }
      arguments.named.emplace_back(name, item.value);
    }
  }
  return arguments;
}

Value Evaluator::call(const Value& callee, CallArguments arguments) {
  const Budget::Nesting nesting(budget);
  budget.step();
  if (callee.is<std::shared_ptr<const Callable>>()) {
    return callee.get<std::shared_ptr<const Callable>>()->call(*this, std::move(arguments));
  }
  if (callee.is<const Macro*>()) {
    return call_macro(*callee.get<const Macro*>(), std::move(arguments));
  }
  if (callee.is_undefined()) fail(*callee.get<Undefined>().message);
  if (callee.is<std::shared_ptr<LoopState>>()) fail("recursive loops are not supported");
  fail("'", type_name(callee), "' object is not callable");
}

}  // namespace longgen::jinja
