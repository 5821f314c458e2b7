// tests/unit/serve/tiny_server.h: a server's engine on a tiny random model, and a reader that
// notes what it tells of each request.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "longgen/grammar/grammar.h"
#include "longgen/serve/engine_loop.h"
#include "tests/unit/engine/tiny_decoder.h"

namespace longgen {

/// What was told of a request.
struct ServedReply {
  std::vector<int32_t> tokens;
  std::vector<std::optional<TokenLogprobs>> logprobs;  // of each token
  std::vector<TokenLogprobs> prompt_logprobs;
  std::vector<RequestProgress> progress;
  std::optional<int64_t> cached_tokens;  // once it has begun
  std::optional<RequestEnd> end;
  std::optional<double> retry_after_seconds;
  std::string failure;
  int num_ends = 0;  // of any kind

  void add(const RequestBegan& began) { cached_tokens = began.cached_tokens; }
  void add(const RequestProgress& more) { progress.push_back(more); }
  void add(const PromptLogprobs& more) {
    prompt_logprobs.insert(prompt_logprobs.end(), more.places.begin(), more.places.end());
  }
  void add(const TokenDrawn& drawn) {
    EXPECT_EQ(num_ends, 0) << "a token after the end";
    tokens.push_back(drawn.token);
    logprobs.push_back(drawn.logprobs);
  }
  void add(const RequestEnded& ended) { end = ended.end, ++num_ends; }
  void add(const RequestRejected& rejected) {
    retry_after_seconds = rejected.retry_after_seconds, ++num_ends;
  }
  void add(const RequestFailed& failed) { failure = failed.message, ++num_ends; }
};

using Ids = std::vector<int32_t>;

inline Ids random_ids(std::mt19937_64& random, int64_t count) {
  Ids ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(random() % kVocab));
  return ids;
}

inline bool has_tokens(const ServedReply& reply) { return !reply.tokens.empty(); }

inline bool has_prefill(std::span<const BatchPart> parts) {
  return std::any_of(parts.begin(), parts.end(),
                     [](const BatchPart& part) { return part.tokens.size() > 1; });
}

/// Costs of steps that nobody measures: 1 ms a token, so that the budget is 100 tokens.
inline ServingOptions tiny_serving_options() {
  ServingOptions options;
  options.engine.max_kv_bytes = int64_t{64} << 20;
  options.schedule.step_budget_seconds = 0.1;
  options.cost = CostModel({0, 0, 1e-3, 0, 0});
  return options;
}

class TinyServer {
 public:
  explicit TinyServer(const ServingOptions& options = tiny_serving_options(),
                      const std::string& pattern = "sink=1,window=2,stride=3")
      : model_(pattern),
        loop_(model_.decoder, options, [this](std::vector<EngineEvent> events) { note(events); }) {}

  const Decoder& decoder() const { return model_.decoder; }
  EngineLoop& loop() { return loop_; }

  /// Greedy where the options say nothing else.
  static Submit request(RequestId id, std::vector<int32_t> prompt, int64_t max_new_tokens = 8) {
    Submit submit = {{.id = id, .prompt = std::move(prompt), .max_new_tokens = max_new_tokens}, {}};
    submit.draw.sampling.temperature = 0;
    return submit;
  }

  /// Waits until `done` holds of what was told of a request.
  template <typename Done>
  ServedReply wait(RequestId id, const Done& done) {
    std::unique_lock lock(mutex_);
    const bool in_time =
        changed_.wait_for(lock, std::chrono::seconds(60), [&] { return done(replies_[id]); });
    EXPECT_TRUE(in_time) << "request " << id << " hangs";
    return replies_[id];
  }
  ServedReply wait(RequestId id) {
    return wait(id, [](const ServedReply& reply) { return reply.num_ends > 0; });
  }
  ServedReply reply(const Submit& submit) {
    loop_.post(submit);
    return wait(submit.request.id);
  }

  /// Ends the server's work. No page is in use but those of the prefix cache.
  EngineState expect_no_leaks() {
    loop_.drain(60);
    const EngineState state = loop_.state();
    EXPECT_EQ(state.phase, EnginePhase::draining) << state.failure;
    EXPECT_EQ(state.in_use, state.cached);
    EXPECT_EQ(state.reserved, 0);
    const std::lock_guard lock(mutex_);
    for (const auto& [id, reply] : replies_) EXPECT_EQ(reply.num_ends, 1) << "request " << id;
    return state;
  }

  /// The tokens of a request for which nobody else uses the model.
  std::vector<int32_t> alone(const Submit& submit) const {
    Session session(model_.decoder, 64);
    Sampler sampler(submit.draw.sampling);
    std::vector<int32_t> generated;
    std::optional<GrammarMatcher> matcher;
    if (submit.draw.grammar) matcher.emplace(submit.draw.grammar, submit.draw.stop_tokens);
    at::Tensor logits_V = session.append(submit.request.prompt);
    for (;;) {
      const bool may_stop = std::ssize(generated) >= submit.draw.min_tokens;
      const auto& stops = submit.draw.stop_tokens;
      generated.push_back(sampler.next({logits_V.const_data_ptr<float>(), kVocab},
                                       {submit.request.prompt, generated},
                                       may_stop ? std::vector<int32_t>() : stops,
                                       matcher ? matcher->allowed() : AllowedTokens()));
      if (matcher) matcher->accept(generated.back());
      if (std::count(stops.begin(), stops.end(), generated.back()) > 0 ||
          std::ssize(generated) == submit.request.max_new_tokens) {
        return generated;
      }
      logits_V = session.append(std::span(generated).last(1));
    }
  }

 private:
  void note(const std::vector<EngineEvent>& events) {
    const std::lock_guard lock(mutex_);
    for (const EngineEvent& event : events) {
      std::visit([&](const auto& what) { replies_[event.request].add(what); }, event.what);
    }
    changed_.notify_all();
  }

  TinyDecoder model_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<RequestId, ServedReply> replies_;
  EngineLoop loop_;
};

}  // namespace longgen
