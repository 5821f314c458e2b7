// serve/prepare.h: the threads that read requests.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "longgen/grammar/grammar_store.h"
#include "longgen/serve/http/exchange.h"
#include "longgen/serve/output_thread.h"
#include "longgen/serve/request_planner.h"
#include "longgen/serve/worker_pool.h"

namespace longgen {

/// Reads, renders and tokenizes on a pool of threads, so that neither connections nor the engine
/// wait for it; what is right goes on to the output thread. Whoever has gone meanwhile is dropped.
/// Grammars that have to be compiled do so on a thread of their own: only requests with others wait
/// for it.
class Prepare {
 public:
  struct Options {
    int64_t num_threads = 1;
    int64_t max_waiting = 256;  ///< beyond: 429
  };
  /// All three must outlive it.
  Prepare(const RequestPlanner& planner, GrammarStore& grammars, OutputThread& output,
          const Options& options);

  // From any thread, without waiting:

  void chat(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange);
  void completion(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange);
  void tokenize(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange);
  void detokenize(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange);
  /// Requests that came and have neither an answer nor reached the output thread.
  int64_t num_open() const { return num_open_; }

 private:
  using Work = std::function<void(const http::HttpRequest&, std::shared_ptr<http::Exchange>)>;
  void add(http::HttpRequest request, std::shared_ptr<http::Exchange> exchange, Work work);
  /// Does the work of a request on a pool, and answers where it fails or there are too many.
  void add_to(WorkerPool& pool, std::shared_ptr<http::Exchange> exchange,
              std::function<void()> work);
  void begin(AnswerPlan plan, std::shared_ptr<http::Exchange> exchange);

  const RequestPlanner& planner_;
  GrammarStore& grammars_;
  OutputThread& output_;
  std::atomic<int64_t> num_open_ = 0;
  WorkerPool compilers_;
  WorkerPool pool_;  // ends first, because it gives the other one work
};

}  // namespace longgen
