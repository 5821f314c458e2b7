#include "longgen/serve/prepare.h"

#include <string>
#include <utility>

#include "longgen/base/log.h"
#include "longgen/serve/answer_writer.h"

namespace longgen {

using openai::ApiError;

Prepare::Prepare(const RequestPlanner& planner, GrammarStore& grammars, OutputThread& output,
                 const Options& options)
    : planner_(planner),
      grammars_(grammars),
      output_(output),
      compilers_(1, options.max_waiting),
      pool_(options.num_threads, options.max_waiting) {}

void Prepare::add(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange, Work work) {
  add_to(pool_, exchange, [request = std::move(request), exchange, work = std::move(work)] {
    work(request, exchange);
  });
}

void Prepare::add_to(WorkerPool& pool, std::shared_ptr<http::Exchange> exchange,
                     std::function<void()> work) {
  ++num_open_;
  const bool is_added = pool.add([this, exchange, work = std::move(work)] {
    try {
      if (!exchange->is_gone()) work();
    } catch (const ApiError& error) {
      answer_error(*exchange, error);
    } catch (const std::exception& error) {
      log_warning(std::string("a request failed: ") + error.what());
      answer_error(*exchange, ApiError(500, "the server failed to read this request."));
    }
    --num_open_;
  });
  if (is_added) return;
  --num_open_;
  answer_error(*exchange, ApiError(429, "too many requests are being read. Come back in a second."),
               {{"Retry-After", "1"}});
}

void Prepare::begin(AnswerPlan plan, std::shared_ptr<http::Exchange> exchange) {
  if (!plan.grammar.empty()) plan.draw.grammar = grammars_.find(plan.grammar);
  if (plan.grammar.empty() || plan.draw.grammar) {
    return output_.begin(std::move(plan), std::move(exchange));
  }
  // std::function must be copied, so the plan is shared.
  const auto waiting = std::make_shared<AnswerPlan>(std::move(plan));
  add_to(compilers_, exchange, [this, waiting, exchange] {
    const std::string field = waiting->tools ? "tools" : "response_format";
    try {
      waiting->draw.grammar = grammars_.compile(waiting->grammar);
    } catch (const Error& error) {
      log_warning(std::string("a grammar was not compiled: ") + error.what());
      throw ApiError(400, field + ": the form that it demands cannot be followed.", field,
                     "invalid_value");
    }
    if (!waiting->draw.grammar) {
      throw ApiError(400,
                     field + ": the form that it demands takes too much memory. Make it smaller.",
                     field, "invalid_value");
    }
    output_.begin(std::move(*waiting), exchange);
  });
}

void Prepare::chat(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange) {
  add(std::move(request), std::move(exchange), [this](const auto& from, auto to) {
    begin(planner_.chat(from.body, from.key_name), std::move(to));
  });
}

void Prepare::completion(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange) {
  add(std::move(request), std::move(exchange), [this](const auto& from, auto to) {
    begin(planner_.completion(from.body, from.key_name), std::move(to));
  });
}

void Prepare::tokenize(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange) {
  add(std::move(request), std::move(exchange), [this](const auto& from, auto to) {
    to->answer(200, kJsonType, planner_.tokenize(from.body));
  });
}

void Prepare::detokenize(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange) {
  add(std::move(request), std::move(exchange), [this](const auto& from, auto to) {
    to->answer(200, kJsonType, planner_.detokenize(from.body));
  });
}

}  // namespace longgen
