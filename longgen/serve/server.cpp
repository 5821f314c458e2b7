#include "longgen/serve/server.h"

#include <algorithm>
#include <chrono>
#include <ctime>
#include <map>
#include <thread>
#include <utility>

#include "longgen/api/stop_tokens.h"
#include "longgen/base/check.h"
#include "longgen/base/threads.h"
#include "longgen/serve/openai/openapi.h"
#include "longgen/serve/openai/responses.h"
#include "longgen/serve/page/page.h"
#include "longgen/tokenizer/special_tokens.h"

namespace longgen {
namespace {

using openai::ApiError;

// So often is looked whether the engine has begun, or the last answer ended: at the start and the
// end only.
constexpr auto kLook = std::chrono::milliseconds(5);
// What was written last must reach its clients.
constexpr double kFlushSeconds = 2;
constexpr const char* kTextType = "text/plain; version=0.0.4; charset=utf-8";

std::string folder_name(const std::string& directory) {
  const fs::path path = fs::weakly_canonical(directory);
  return path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
}

/// How many bytes of text as many tokens have at most.
int64_t most_bytes(const Tokenizer& tokenizer, int64_t num_tokens) {
  size_t longest = 1;
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    longest = std::max(longest, tokenizer.token_bytes(id).size());
  }
  return num_tokens * static_cast<int64_t>(longest);
}

ServedModel served_model(const ServeOptions& options, Tokenizer tokenizer,
                         const ModelConfig& config) {
  ServedModel model{.name = options.name.empty() ? folder_name(options.directory) : options.name,
                    .tokenizer = std::move(tokenizer),
                    .context = config.context,
                    .created = std::time(nullptr),
                    .layers = config.layers};
  model.vocab_size = std::min(model.tokenizer.vocab_size(), config.vocab_size);
  model.max_text_bytes = most_bytes(model.tokenizer, model.context);
  model.default_max_tokens = options.default_max_tokens;
  model.reads_texts = !options.random_weights;
  if (!model.reads_texts) return model;
  model.text_stops = find_stop_tokens(model.tokenizer, options.directory);
  model.chat_template = ChatTemplate::find(options.directory);
  if (model.chat_template) {
    model.tool_format = openai::tool_format(*model.chat_template);
    model.chat_stops = find_stop_tokens(model.tokenizer, options.directory,
                                        model.chat_template->stop_tokens(model.tokenizer));
  }
  return model;
}

LoadedModel open_model(const ServeOptions& options) {
  return options.random_weights
             ? random_model(options.directory, *options.random_weights, options.model)
             : load_with_tokenizer(options.directory, options.model);
}

std::string tokenizer_info(const std::string& directory, const ServedModel& model) {
  std::map<std::string, std::string> special;
  if (model.reads_texts) special = read_special_tokens(directory);
  OrderedJson json;
  for (const char* name : {"bos_token", "eos_token", "pad_token"}) {
    const auto token = special.find(name);
    json[name] = token == special.end() ? OrderedJson(nullptr) : OrderedJson(token->second);
  }
  json["chat_template"] = model.chat_template ? OrderedJson(model.chat_template->text()) : nullptr;
  return dump_json(json);
}

void answer_health(http::Exchange& exchange, const HealthAnswer& health) {
  exchange.answer(health.status, kJsonType, health.body);
}

/// The page needs no key: it asks for one where the server does.
http::ServerOptions with_open_page(http::ServerOptions options) {
  for (const PageFile& file : page_files()) options.open_paths.push_back(file.path);
  return options;
}

Prepare::Options prepare_options() {
  return {.num_threads = std::clamp<int64_t>(default_threads() / 4, 1, 4)};
}

}  // namespace

Server::Server(const ServeOptions& options) {
  http_ = std::make_unique<http::Server>(
      with_open_page(options.http),
      [this](http::HttpRequest request, std::shared_ptr<http::Exchange> exchange) {
        if (is_ready_) return router_(std::move(request), std::move(exchange));
        if (const PageFile* const file = find_page_file(request.path)) {
          return answer_page_file(*file, request, *exchange);
        }
        if (request.path != "/health") throw ApiError(503, "the server is starting.");
        answer_health(*exchange, health_answer({}, /*is_draining=*/false));
      });
  LoadedModel loaded = open_model(options);
  decoder_.emplace(std::move(loaded.decoder));
  model_.emplace(served_model(options, std::move(loaded.tokenizer), decoder_->config()));

  ServingOptions engine = options.engine;
  engine.vocab_size = model_->vocab_size;
  output_ = std::make_unique<OutputThread>(
      *model_, [this](EngineMessage message) { engine_->post(std::move(message)); });
  engine_ = std::make_unique<EngineLoop>(
      *decoder_, engine,
      [this](std::vector<EngineEvent> events) { output_->take(std::move(events)); });
  planner_ = std::make_unique<RequestPlanner>(
      *model_, [this](const Request& request) { return engine_->can_ever_fit(request); });
  grammars_.emplace([this] { return model_->token_bytes(); });
  prepare_ = std::make_unique<Prepare>(*planner_, *grammars_, *output_, prepare_options());

  while (engine_->state().phase == EnginePhase::calibrating) std::this_thread::sleep_for(kLook);
  const EngineState state = engine_->state();
  LG_CHECK(state.phase != EnginePhase::failed, "the model does not run: ", state.failure);
  answer_text("/tokenizer_info", kJsonType, tokenizer_info(options.directory, *model_));
  add_routes();
  is_ready_ = true;
}

Server::~Server() {
  // Whoever tells another one something ends before it. Engine and output tell each other: the
  // output falls silent first, and hears the engine out.
  http_->stop(0);
  prepare_.reset();
  output_->quit();
  engine_.reset();
  output_.reset();
}

void Server::answer_text(const std::string& path, const std::string& type, std::string text) {
  router_.add("GET", path, [type, text = std::move(text)](const auto&, const auto& exchange) {
    exchange->answer(200, type, text);
  });
}

void Server::add_routes() {
  using http::Exchange;
  using http::HttpRequest;
  const auto post = [this](const std::string& path, auto how) {
    router_.add("POST", path, [this, how](HttpRequest request, std::shared_ptr<Exchange> exchange) {
      check_requests_are_taken();
      (*prepare_.*how)(std::move(request), std::move(exchange));
    });
  };
  post("/v1/chat/completions", &Prepare::chat);
  post("/v1/completions", &Prepare::completion);
  post("/tokenize", &Prepare::tokenize);
  post("/detokenize", &Prepare::detokenize);
  const openai::ModelEntry entry = {model_->name, model_->created, model_->context};
  answer_text("/v1/models", kJsonType, openai::models_list({entry}));
  answer_text("/v1/models/" + model_->name, kJsonType, openai::model_entry(entry));
  answer_text("/openapi.json", kJsonType, openai::openapi_json({.vocab_size = model_->vocab_size}));
  router_.add("GET", "/health", [this](const auto&, const auto& exchange) {
    answer_health(*exchange, health_answer(engine_->state(), is_draining_));
  });
  router_.add("GET", "/metrics", [this](const auto&, const auto& exchange) {
    exchange->answer(200, kTextType,
                     metrics_text(model_->name, engine_->state(), engine_->metrics()));
  });
  router_.add("GET", "/server/state", [this](const auto&, const auto& exchange) {
    const ServerCounts counts{is_draining_, http_->num_connections(), num_open()};
    exchange->answer(200, kJsonType, state_json(*model_, engine_->state(), counts));
  });
  add_page();
}

void Server::add_page() {
  for (const PageFile& file : page_files()) {
    const auto answer = [&file](const http::HttpRequest& request, const auto& exchange) {
      answer_page_file(file, request, *exchange);
    };
    router_.add("GET", file.path, answer, /*is_listed=*/false);
  }
}

void Server::check_requests_are_taken() const {
  if (is_draining_) throw ApiError(503, "the server ends and takes no new requests.");
  const EngineState state = engine_->state();
  if (state.phase == EnginePhase::failed) {
    throw ApiError(503, "the engine has failed: " + state.failure);
  }
}

void Server::stop(double seconds) {
  is_draining_ = true;
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (num_open() > 0 && std::chrono::steady_clock::now() < end)
    std::this_thread::sleep_for(kLook);
  output_->fail_all(ApiError(503, "the server ends, and so does this answer."));
  http_->stop(kFlushSeconds);
}

}  // namespace longgen
