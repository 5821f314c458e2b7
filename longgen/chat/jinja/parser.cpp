#include "longgen/chat/jinja/parser.h"

#include <algorithm>

#include "longgen/chat/jinja/expression_parser.h"

namespace longgen::jinja {
namespace {

constexpr int kMaxNesting = 100;

/// Words of Jinja that need other files or change what is written elsewhere.
constexpr std::string_view kRefused[] = {"include", "import", "from",       "extends",
                                         "block",   "do",     "autoescape", "trans"};

class Parser {
 public:
  Parser(std::string_view text, const std::string& source)
      : tokens_(tokenize(text, source), source), expressions_(tokens_) {}

  Block run() { return statements({}); }

 private:
  using Ends = std::vector<std::string_view>;

  std::unique_ptr<Statement> make(StatementKind kind, int line) const {
    return std::make_unique<Statement>(Statement{kind, line});
  }

  /// Statements up to a tag that begins with one of `ends`; that name is the current token then.
  /// Without ends, up to the end of the template.
  Block statements(const Ends& ends) {
    Block block;
    while (true) {
      if (tokens_.is(TokenKind::end)) {
        if (!ends.empty())
          tokens_.fail("expected {% ", ends.back(), " %}, found the end of the template");
        return block;
      }
      const Token token = tokens_.take();
      if (token.kind == TokenKind::text) {
        block.push_back(make(StatementKind::text, token.line));
        block.back()->value =
            Value(Value::Storage(std::make_shared<const Text>(token.text, Origin::written)));
      } else if (token.kind == TokenKind::print_begin) {
        block.push_back(make(StatementKind::print, token.line));
        block.back()->expression = expressions_.tuple(true);
        tokens_.expect(TokenKind::print_end, "}}");
      } else {
        if (at_one_of(ends)) return block;
        block.push_back(statement());
        tokens_.expect(TokenKind::block_end, "%}");
      }
    }
  }

  bool at_one_of(const Ends& ends) const {
    return std::any_of(ends.begin(), ends.end(),
                       [this](std::string_view name) { return tokens_.is_name(name); });
  }

  /// The rest of a tag and the statements after it.
  Block body(const Ends& ends) {
    tokens_.skip_symbol(":");
    tokens_.expect(TokenKind::block_end, "%}");
    if (++nesting_ > kMaxNesting) {
      tokens_.fail("the template nests statements deeper than ", kMaxNesting, " levels");
    }
    Block block = statements(ends);
    --nesting_;
    return block;
  }

  /// The body of a statement that break and continue do not reach through.
  Block closed_body(std::string_view end) {
    const int loops = std::exchange(loops_, 0);
    Block block = body({end});
    tokens_.expect_name(end);
    loops_ = loops;
    return block;
  }

  std::unique_ptr<Statement> statement() {
    const int line = tokens_.line();
    const std::string name = tokens_.take_name("the name of a statement");
    if (name == "if") return choice(line);
    if (name == "for") return loop(line);
    if (name == "set") return assignment(line);
    if (name == "macro") return macro(line);
    if (name == "call") return call_block(line);
    if (name == "filter") return filter_block(line);
    if (name == "with") return with(line);
    if (name == "print") return print(line);
    if (name == "break" || name == "continue") {
      if (loops_ == 0) tokens_.fail_at(line, "{% ", name, " %} stands outside of a loop");
      return make(name == "break" ? StatementKind::leave_loop : StatementKind::next_item, line);
    }
    if (name == "generation") {
      auto node = make(StatementKind::generation, line);
      node->body = closed_body("endgeneration");
      return node;
    }
    if (std::find(std::begin(kRefused), std::end(kRefused), name) != std::end(kRefused)) {
      tokens_.fail_at(line, "the statement \"", name, "\" is not supported");
    }
    tokens_.fail_at(line, "there is no statement \"", name, "\" here");
  }

  std::unique_ptr<Statement> choice(int line) {
    auto node = make(StatementKind::choice, line);
    do {
      Branch branch;
      branch.condition = expressions_.tuple(false);
      branch.body = body({"elif", "else", "endif"});
      node->branches.push_back(std::move(branch));
    } while (tokens_.skip_name("elif"));
    if (tokens_.skip_name("else")) node->otherwise = body({"endif"});
    tokens_.expect_name("endif");
    return node;
  }

  std::unique_ptr<Statement> loop(int line) {
    auto node = make(StatementKind::loop, line);
    node->target = expressions_.target(false, "in");
    tokens_.expect_name("in");
    node->expression = expressions_.tuple(false, "recursive");
    if (tokens_.skip_name("if")) node->condition = expressions_.expression();
    if (tokens_.is_name("recursive")) tokens_.fail("recursive loops are not supported");
    ++loops_;
    node->body = body({"else", "endfor"});
    --loops_;
    if (tokens_.skip_name("else")) node->otherwise = body({"endfor"});
    tokens_.expect_name("endfor");
    return node;
  }

  std::unique_ptr<Statement> assignment(int line) {
    auto node = make(StatementKind::assign, line);
    node->target = expressions_.target(true);
    if (tokens_.skip_symbol("=")) {
      node->expression = expressions_.tuple(true);
      return node;
    }
    node->kind = StatementKind::assign_block;
    node->expression = expressions_.filters(nullptr, false);
    node->body = closed_body("endset");
    return node;
  }

  std::vector<Parameter> signature() {
    std::vector<Parameter> parameters;
    tokens_.expect_symbol("(");
    while (!tokens_.is_symbol(")")) {
      Parameter parameter;
      parameter.target = expressions_.name_target();
      if (tokens_.skip_symbol("=")) {
        parameter.value = expressions_.expression();
      } else if (!parameters.empty() && parameters.back().value) {
        tokens_.fail("a parameter without a default follows one with a default");
      }
      parameters.push_back(std::move(parameter));
      if (!tokens_.is_symbol(")")) tokens_.expect_symbol(",");
    }
    tokens_.expect_symbol(")");
    return parameters;
  }

  /// The body of a macro, and which of its three extra variables it names.
  void macro_body(Statement& node, std::string_view end) {
    const std::set<std::string> outside = std::exchange(expressions_.names_read, {});
    node.body = closed_body(end);
    const std::set<std::string>& inside = expressions_.names_read;
    node.uses_caller = inside.contains("caller");
    node.uses_varargs = inside.contains("varargs");
    node.uses_kwargs = inside.contains("kwargs");
    expressions_.names_read.insert(outside.begin(), outside.end());
  }

  std::unique_ptr<Statement> macro(int line) {
    auto node = make(StatementKind::macro, line);
    node->name = tokens_.take_name("the name of a macro");
    node->parameters = signature();
    macro_body(*node, "endmacro");
    return node;
  }

  std::unique_ptr<Statement> call_block(int line) {
    auto node = make(StatementKind::call_block, line);
    if (tokens_.is_symbol("(")) node->parameters = signature();
    node->expression = expressions_.expression();
    if (node->expression->kind != ExpressionKind::call) {
      tokens_.fail_at(line, "expected {% call %} to call something");
    }
    macro_body(*node, "endcall");
    return node;
  }

  std::unique_ptr<Statement> filter_block(int line) {
    auto node = make(StatementKind::filter_block, line);
    node->expression = expressions_.filters(nullptr, true);
    node->body = closed_body("endfilter");
    return node;
  }

  std::unique_ptr<Statement> with(int line) {
    auto node = make(StatementKind::with, line);
    while (!tokens_.is(TokenKind::block_end)) {
      Parameter parameter;
      parameter.target = expressions_.target(false);
      if (parameter.target->kind != ExpressionKind::name) tokens_.fail("with sets names only");
      tokens_.expect_symbol("=");
      parameter.value = expressions_.expression();
      node->parameters.push_back(std::move(parameter));
      if (!tokens_.is(TokenKind::block_end)) tokens_.expect_symbol(",");
    }
    node->body = body({"endwith"});
    tokens_.expect_name("endwith");
    return node;
  }

  std::unique_ptr<Statement> print(int line) {
    auto node = make(StatementKind::print, line);
    node->expression = expressions_.expression();
    return node;
  }

  TokenStream tokens_;
  ExpressionParser expressions_;
  int nesting_ = 0, loops_ = 0;
};

}  // namespace

Block parse(std::string_view text, const std::string& source) { return Parser(text, source).run(); }

}  // namespace longgen::jinja
