// serve/server.h: a model behind an HTTP server.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "longgen/api/load.h"
#include "longgen/api/model_options.h"
#include "longgen/grammar/grammar_store.h"
#include "longgen/serve/engine_loop.h"
#include "longgen/serve/http/server.h"
#include "longgen/serve/output_thread.h"
#include "longgen/serve/prepare.h"
#include "longgen/serve/random_model.h"
#include "longgen/serve/request_planner.h"
#include "longgen/serve/router.h"
#include "longgen/serve/served_model.h"
#include "longgen/serve/server_state.h"
#include "longgen/serve/serving_options.h"

namespace longgen {

struct ServeOptions {
  std::string directory;  ///< of the model; with random weights it may be a preset's name
  std::string name = {};  ///< of the model, for clients; empty: the directory's
  std::optional<int64_t> default_max_tokens = {};  ///< see ServedModel
  ModelOptions model = {};
  std::optional<RandomModelOptions> random_weights = {};
  ServingOptions engine = {};  ///< vocab_size is the server's to set
  http::ServerOptions http = {};
};

/// Listens, opens the model, and answers. Until the model is there, and after stop() has begun,
/// requests are answered with 503.
class Server {
 public:
  /// Returns when requests are taken. Throws Error where it cannot listen, before anything is
  /// loaded, and where the model cannot be opened or run.
  explicit Server(const ServeOptions& options);
  /// Stops at once.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::string address() const { return http_->address(); }
  const ServedModel& model() const { return *model_; }
  EngineState engine_state() const { return engine_->state(); }
  /// Takes no new requests, waits so many seconds for answers to end, and ends the others with an
  /// error.
  void stop(double seconds);

 private:
  void add_routes();
  void add_page();
  void answer_text(const std::string& path, const std::string& type, std::string text);
  /// Throws ApiError unless they are.
  void check_requests_are_taken() const;
  int64_t num_open() const { return prepare_->num_open() + output_->num_open(); }

  std::atomic<bool> is_ready_ = false, is_draining_ = false;
  Router router_;
  // Made in this order; ~Server() says in which they end.
  std::unique_ptr<http::Server> http_;
  std::optional<Decoder> decoder_;
  std::optional<ServedModel> model_;
  std::unique_ptr<OutputThread> output_;
  std::unique_ptr<EngineLoop> engine_;
  std::unique_ptr<RequestPlanner> planner_;
  std::optional<GrammarStore> grammars_;
  std::unique_ptr<Prepare> prepare_;
};

}  // namespace longgen
