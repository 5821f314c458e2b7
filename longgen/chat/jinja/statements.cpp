// The statements of evaluator.h.
#include <algorithm>
#include <utility>

#include "longgen/chat/jinja/evaluator.h"
#include "longgen/chat/jinja/operators.h"

namespace longgen::jinja {

Text Evaluator::run(const Block& block) {
  TextBuilder out(budget);
  out_ = &out;
  execute(block);
  return out.take();
}

void Evaluator::write(const Value& value) {
  const Text text = to_text(*this, value);
  budget.step(text.size());
  out_->append(text);
}

Value Evaluator::capture(const Block& block) {
  TextBuilder captured(budget);
  TextBuilder* const outside = std::exchange(out_, &captured);
  {
    const ScopeGuard guard(*this, scope_);
    execute(block);
  }
  out_ = outside;
  return text(captured.take());
}

/// The body of a set or filter block after its filters.
Value Evaluator::capture_filtered(const Statement& statement) {
  const Value inside = capture(statement.body);
  if (!statement.expression) return inside;
  const Value* const outside = std::exchange(block_input_, &inside);
  Value filtered = evaluate(*statement.expression);
  block_input_ = outside;
  return filtered;
}

Evaluator::Flow Evaluator::execute(const Block& block) {
  for (const auto& statement : block) {
    const Flow flow = execute(*statement);
    if (flow != Flow::next) return flow;
  }
  return Flow::next;
}

Evaluator::Flow Evaluator::execute(const Statement& statement) {
  const Budget::Nesting nesting(budget);
  budget.step();
  line_ = statement.line;
  switch (statement.kind) {
    case StatementKind::text:
      out_->append(statement.value.text());
      budget.step(statement.value.text().size());
      break;
    case StatementKind::print:
      write(evaluate(*statement.expression));
      break;
    case StatementKind::choice:
      return execute_choice(statement);
    case StatementKind::loop:
      return execute_loop(statement);
    case StatementKind::assign:
      assign(*statement.target, evaluate(*statement.expression));
      break;
    case StatementKind::assign_block:
      assign(*statement.target, capture_filtered(statement));
      break;
    case StatementKind::macro:
      scope_->names[statement.name] = Value(Value::Storage(define(statement)));
      break;
    case StatementKind::call_block:
      execute_call(statement);
      break;
    case StatementKind::filter_block:
      write(capture_filtered(statement));
      break;
    case StatementKind::with:
      return execute_with(statement);
    case StatementKind::generation:
      write(capture(statement.body));
      break;
    case StatementKind::leave_loop:
      return Flow::leave_loop;
    case StatementKind::next_item:
      return Flow::next_item;
  }
  return Flow::next;
}

Evaluator::Flow Evaluator::execute_choice(const Statement& statement) {
  for (const Branch& branch : statement.branches) {
    if (truth(evaluate(*branch.condition))) return execute(branch.body);
  }
  return execute(statement.otherwise);
}

Evaluator::Flow Evaluator::execute_with(const Statement& statement) {
  Values values;
  for (const Parameter& parameter : statement.parameters) {
    values.push_back(evaluate(*parameter.value));
  }
  const ScopeGuard guard(*this, scope_);
  for (size_t i = 0; i < values.size(); ++i) assign(*statement.parameters[i].target, values[i]);
  return execute(statement.body);
}

/// What a target holds, whose parts are a tuple.
Value Evaluator::assigned(const Expression& target) {
  if (target.kind == ExpressionKind::name) return name(target.name);
  Values parts;
  for (const ExpressionPtr& part : target.children) parts.push_back(assigned(*part));
  return sequence(std::move(parts), SequenceKind::tuple);
}

/// The items of a for statement that its condition lets through. Jinja hands on what it unpacked to
/// ask the condition, so that an item of several names is a tuple, whatever it was.
ItemSource Evaluator::loop_items(const Statement& statement) {
  const Value iterable = evaluate(*statement.expression);
  if (!statement.condition) return items_of(*this, iterable);
  const auto next = [this, &statement, outer = scope_,
                     source = iterate(*this, iterable)]() -> std::optional<Value> {
    while (std::optional<Value> item = source()) {
      const ScopeGuard guard(*this, outer);
      assign(*statement.target, *item);
      if (truth(evaluate(*statement.condition))) return assigned(*statement.target);
    }
    return std::nullopt;
  };
  return {nullptr, std::make_shared<Iterator>(next, iterable.depth() + 1)};
}

Evaluator::Flow Evaluator::execute_loop(const Statement& statement) {
  const ItemSource source = loop_items(statement);
  int64_t depth = source.iterator ? source.iterator->depth() : 0;
  if (source.items) {
    for (const Value& item : *source.items) depth = std::max(depth, item.depth());
  }
  budget.check_value_depth(depth + 1);
  budget.take(sizeof(LoopState));
  const auto loop = std::make_shared<LoopState>(source.items, source.iterator, depth + 1);
  bool finished_one = false;
  while (loop->advance()) {
    const ScopeGuard guard(*this, scope_);
    budget.step();
    assign(*statement.target, loop->item());
    scope_->names["loop"] = Value(Value::Storage(loop));
    const Flow flow = execute(statement.body);
    if (flow == Flow::leave_loop) break;
    finished_one |= flow == Flow::next;
  }
  // As in Jinja, an iteration that break or continue ends does not count.
  if (!finished_one && !statement.otherwise.empty()) {
    const ScopeGuard guard(*this, scope_);
    return execute(statement.otherwise);
  }
  return Flow::next;
}

void Evaluator::assign(const Expression& target, const Value& value) {
  if (target.kind == ExpressionKind::name) {
    budget.take(64);
    scope_->names[target.name] = value;
    return;
  }
  if (target.kind == ExpressionKind::member) return assign_member(target, value);
  const Values items = collect(*this, value);
  if (items.size() != target.children.size()) {
    fail("expected ", target.children.size(), " values to unpack, found ", items.size());
  }
  for (size_t i = 0; i < items.size(); ++i) assign(*target.children[i], items[i]);
}

void Evaluator::assign_member(const Expression& target, const Value& value) {
  const Value space = name(target.name);
  const std::string& attribute = target.value.bytes();
  if (!space.is<Namespace*>()) {
    fail("cannot assign attribute ", attribute, " of '", type_name(space),
         "': only a namespace can be changed");
  }
  if (attribute.starts_with('_')) {
    fail("names of a namespace must not begin with _, found ", attribute);
  }
  space.get<Namespace*>()->set(attribute, value);
}

const Macro* Evaluator::define(const Statement& statement) {
  budget.take(1024);  // it keeps its scope
  return &macros_.emplace_back(Macro{&statement, scope_});
}

/// {% call %}: a call that hands its body on as the macro `caller`.
void Evaluator::execute_call(const Statement& statement) {
  const Expression& expression = *statement.expression;
  const Value callee = evaluate(*expression.children[0]);
  CallArguments arguments = evaluate_arguments(expression.arguments);
  arguments.named.emplace_back("caller", Value(Value::Storage(define(statement))));
  line_ = statement.line;
  write(call(callee, std::move(arguments)));
}

/// The variables varargs, kwargs and caller, for a macro that names them.
void Evaluator::bind_extras(const Macro& macro, CallArguments& arguments) {
  const Statement& definition = *macro.definition;
  if (definition.uses_caller && !scope_->names.contains("caller")) {
    Value caller = Value::undefined("No caller defined");
    std::erase_if(arguments.named, [&caller](auto& entry) {
      if (entry.first != "caller") return false;
      caller = entry.second;
      return true;
    });
    scope_->names["caller"] = caller;
  }
  if (definition.uses_kwargs) {
    Dict rest;
    for (auto& [name, value] : arguments.named) rest.set_text(text(name, Origin::data), value);
    scope_->names["kwargs"] = dict(std::move(rest));
  } else if (!arguments.named.empty()) {
    fail("macro '", macro.name(), "' takes no keyword argument '", arguments.named[0].first, "'");
  }
  const size_t num_parameters = definition.parameters.size();
  Values surplus;
  for (size_t i = num_parameters; i < arguments.positional.size(); ++i) {
    surplus.push_back(arguments.positional[i]);
  }
  if (definition.uses_varargs) {
    scope_->names["varargs"] = sequence(std::move(surplus), SequenceKind::tuple);
  } else if (!surplus.empty()) {
    fail("macro '", macro.name(), "' takes not more than ", num_parameters, " argument(s)");
  }
}

Value Evaluator::call_macro(const Macro& macro, CallArguments arguments) {
  const auto& parameters = macro.definition->parameters;
  const ScopeGuard guard(*this, macro.scope);
  std::vector<const Parameter*> missing;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = parameters[i].target->name;
    budget.step(arguments.named.size() * 64);
    if (i < arguments.positional.size()) {
      scope_->names[name] = arguments.positional[i];
      continue;
    }
    const auto given = std::find_if(arguments.named.begin(), arguments.named.end(),
                                    [&name](const auto& entry) { return entry.first == name; });
    if (given == arguments.named.end()) {
      missing.push_back(&parameters[i]);
      continue;
    }
    scope_->names[name] = given->second;
    arguments.named.erase(given);
  }
  bind_extras(macro, arguments);
  // Defaults may name parameters that stand before them.
  for (const Parameter* parameter : missing) {
    const std::string& name = parameter->target->name;
    scope_->names[name] = parameter->value
                              ? evaluate(*parameter->value)
                              : Value::undefined("parameter '" + name + "' was not provided");
  }
  TextBuilder written(budget);
  TextBuilder* const outside = std::exchange(out_, &written);
  execute(macro.definition->body);
  out_ = outside;
  return text(written.take());
}

}  // namespace longgen::jinja
