// serve/prepare.h: the threads that read requests.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>

#include "longgen/serve/http/exchange.h"
#include "longgen/serve/output_thread.h"
#include "longgen/serve/request_planner.h"
#include "longgen/serve/worker_pool.h"

namespace longgen {

/// Reads, renders and tokenizes on a pool of threads, so that neither connections nor the engine
/// wait for it; what is right goes on to the output thread. Whoever has gone meanwhile is dropped.
class Prepare {
 public:
  struct Options {
    int64_t num_threads = 1;
    int64_t max_waiting = 256;  ///< beyond: 429
  };
  /// Planner and output must outlive it.
  Prepare(const RequestPlanner& planner, OutputThread& output, const Options& options);

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

  const RequestPlanner& planner_;
  OutputThread& output_;
  std::atomic<int64_t> num_open_ = 0;
  WorkerPool pool_;
};

}  // namespace longgen
