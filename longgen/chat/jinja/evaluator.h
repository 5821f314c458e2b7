// chat/jinja/evaluator.h: runs the statements of a template.
#pragma once

#include <deque>
#include <memory>
#include <string>

#include "longgen/chat/jinja/loop_state.h"
#include "longgen/chat/jinja/macro.h"
#include "longgen/chat/jinja/python.h"
#include "longgen/chat/jinja/runtime.h"
#include "longgen/chat/jinja/template.h"

namespace longgen::jinja {

class Evaluator : public Runtime {
 public:
  Evaluator(const Variables& variables, const std::tm& now, const Limits& limits)
      : Runtime(limits), variables_(variables), now_(now), scope_(std::make_shared<Scope>()) {}

  /// What the statements write.
  Text run(const Block& block);
  /// The line that was at work last; errors name it.
  int line() const { return line_; }

  Value call(const Value& callee, CallArguments arguments) override;
  Value make_namespace() override;
  std::tm now() const override { return now_; }

 private:
  enum class Flow { next, leave_loop, next_item };

  /// Goes into a scope within `outer` and back out.
  class ScopeGuard {
   public:
    ScopeGuard(Evaluator& evaluator, std::shared_ptr<Scope> outer)
        : evaluator_(evaluator), before_(evaluator.scope_) {
      evaluator.scope_ = std::make_shared<Scope>();
      evaluator.scope_->outer = std::move(outer);
    }
    ~ScopeGuard() { evaluator_.scope_ = before_; }
    ScopeGuard(const ScopeGuard&) = delete;
    ScopeGuard& operator=(const ScopeGuard&) = delete;

   private:
    Evaluator& evaluator_;
    std::shared_ptr<Scope> before_;
  };

  // statements.cpp
  Flow execute(const Block& block);
  Flow execute(const Statement& statement);
  Flow execute_choice(const Statement& statement);
  Flow execute_loop(const Statement& statement);
  Flow execute_with(const Statement& statement);
  void execute_call(const Statement& statement);
  void write(const Value& value);
  /// What a block writes, in a scope of its own.
  Value capture(const Block& block);
  Value capture_filtered(const Statement& statement);
  void assign(const Expression& target, const Value& value);
  void assign_member(const Expression& target, const Value& value);
  Value assigned(const Expression& target);
  ItemSource loop_items(const Statement& statement);
  const Macro* define(const Statement& statement);
  Value call_macro(const Macro& macro, CallArguments arguments);
  void bind_extras(const Macro& macro, CallArguments& arguments);

  // evaluator.cpp
  Value evaluate(const Expression& expression);
  Value apply(const Expression& expression);
  Value name(const std::string& name) const;
  Value item(const Expression& expression);
  Value unary(const Expression& expression);
  Value compare(const Expression& expression);
  Value concatenate(const Expression& expression);
  Value collection(const Expression& expression);
  Value dict_of(const Expression& expression);
  Value filter(const Expression& expression);
  CallArguments evaluate_arguments(const ArgumentList& list);
  Value or_none(const ExpressionPtr& expression);

  const Variables& variables_;
  std::tm now_;
  std::shared_ptr<Scope> scope_;
  TextBuilder* out_ = nullptr;
  const Value* block_input_ = nullptr;  // what the filters of a block apply to
  int line_ = 1;
  std::deque<Namespace> namespaces_;
  std::deque<Macro> macros_;
};

}  // namespace longgen::jinja
