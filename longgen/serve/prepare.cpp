#include "longgen/serve/prepare.h"

#include <string>
#include <utility>

#include "longgen/base/log.h"
#include "longgen/serve/answer_writer.h"

namespace longgen {

using openai::ApiError;

Prepare::Prepare(const RequestPlanner& planner, OutputThread& output, const Options& options)
    : planner_(planner), output_(output), pool_(options.num_threads, options.max_waiting) {}

void Prepare::add(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange, Work work) {
  ++num_open_;
  const bool is_added =
      pool_.add([this, request = std::move(request), exchange, work = std::move(work)] {
        try {
          if (!exchange->is_gone()) work(request, exchange);
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

void Prepare::chat(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange) {
  add(std::move(request), std::move(exchange), [this](const auto& from, auto to) {
    output_.begin(planner_.chat(from.body, from.key_name), std::move(to));
  });
}

void Prepare::completion(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange) {
  add(std::move(request), std::move(exchange), [this](const auto& from, auto to) {
    output_.begin(planner_.completion(from.body, from.key_name), std::move(to));
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
