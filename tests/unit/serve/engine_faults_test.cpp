#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <new>
#include <random>
#include <stdexcept>
#include <thread>

#include "longgen/serve/engine_loop.h"
#include "tests/unit/error_text.h"
#include "tests/unit/serve/bad_logits.h"
#include "tests/unit/serve/tiny_server.h"

namespace longgen {
namespace {

TEST(EngineFaultsTest, AFaultEndsAllRequestsAndLaterOnesAtOnce) {
  ServingOptions options = tiny_serving_options();
  options.schedule.max_sequences = 2;
  std::atomic<int> num_steps = 0;
  options.step = [&](Engine& engine, std::span<const BatchPart> parts, const BatchOptions& step) {
    if (++num_steps == 10) throw std::runtime_error("the device has gone");
    return engine.step(parts, step);
  };
  TinyServer server(options);
  for (RequestId id = 1; id <= 4; ++id) {
    server.loop().post(TinyServer::request(id, some_ids(10 * id), 1000));
  }
  for (RequestId id = 1; id <= 4; ++id) {
    EXPECT_EQ(server.wait(id).failure, "the device has gone");
  }
  EXPECT_EQ(server.reply(TinyServer::request(5, {1}, 1)).failure, "the device has gone");
  server.loop().drain(60);
  const EngineState state = server.loop().state();
  EXPECT_EQ(state.phase, EnginePhase::failed);
  EXPECT_EQ(state.failure, "the device has gone");
}

// They are taken between two layers, to see whether the step is still wanted.
TEST(EngineFaultsTest, MessagesOfTheStepThatFailsAreAnswered) {
  ServingOptions options = tiny_serving_options();
  TinyServer* at = nullptr;
  options.step = [&](Engine& engine, std::span<const BatchPart> parts,
                     const BatchOptions& step) -> BatchResult {
    at->loop().post(TinyServer::request(2, {5}, 1));
    engine.step(parts, step);
    throw std::runtime_error("the device has gone");
  };
  TinyServer server(options);
  at = &server;
  EXPECT_EQ(server.reply(TinyServer::request(1, some_ids(50), 1)).failure, "the device has gone");
  EXPECT_EQ(server.wait(2).failure, "the device has gone");
}

TEST(EngineFaultsTest, WhereMemoryRunsOutOnlyPrefillsFail) {
  ServingOptions options = tiny_serving_options();
  options.step = [](Engine& engine, std::span<const BatchPart> parts, const BatchOptions& step) {
    for (const BatchPart& part : parts) {
      if (part.tokens.size() > 1 && part.tokens.front() == 77) throw std::bad_alloc();
    }
    return engine.step(parts, step);
  };
  TinyServer server(options);
  const Submit first = TinyServer::request(1, some_ids(10), 200);
  server.loop().post(first);
  server.wait(1, has_tokens);
  EXPECT_EQ(server.reply(TinyServer::request(2, Ids(30, 77), 5)).failure, "out of memory.");
  EXPECT_EQ(server.wait(1).tokens, server.alone(first));
  EXPECT_EQ(server.reply(TinyServer::request(3, Ids(30, 77), 5)).failure, "out of memory.");
  EXPECT_EQ(server.reply(TinyServer::request(4, Ids(30, 78), 5)).tokens.size(), 5u);
  server.expect_no_leaks();
}

TEST(EngineFaultsTest, WhereTheSystemLacksMemoryForPagesWhoeverNeedsThemFails) {
  ServingOptions options = tiny_serving_options();
  options.step = [](Engine& engine, std::span<const BatchPart> parts, const BatchOptions& step) {
    for (const BatchPart& part : parts) {
      const int64_t end = engine.num_tokens(part.sequence) + std::ssize(part.tokens);
      if (end > 640) return BatchResult{BatchEnd::out_of_pages, {}, {}, part.sequence};
    }
    return engine.step(parts, step);
  };
  TinyServer server(options);
  const Submit first = TinyServer::request(1, some_ids(10), 300);
  server.loop().post(first);
  server.wait(1, has_tokens);
  EXPECT_EQ(server.reply(TinyServer::request(2, some_ids(700), 5)).failure,
            "out of memory for the KV cache.");
  const ServedReply decoding = server.reply(TinyServer::request(3, Ids(600, 7), 100));
  EXPECT_EQ(decoding.failure, "out of memory for the KV cache.");
  EXPECT_EQ(decoding.tokens.size(), 41u);
  EXPECT_EQ(server.wait(1).tokens, server.alone(first));
  server.expect_no_leaks();
}

TEST(EngineFaultsTest, LogitsThatAreNoNumbersFailTheirRequestAlone) {
  TinyServer server(with_bad_logits(tiny_serving_options()));
  const Submit first = TinyServer::request(1, some_ids(10), 200);
  server.loop().post(first);
  server.wait(1, has_tokens);
  const ServedReply bad = server.reply(TinyServer::request(2, some_ids(20), 5));
  EXPECT_NE(bad.failure.find("the logit of token 0 is NaN"), std::string::npos) << bad.failure;
  EXPECT_EQ(server.wait(1).tokens, server.alone(first));
  server.expect_no_leaks();
}

/// A request that begins as the others do.
Submit random_request(std::mt19937_64& random, RequestId id) {
  Ids prompt = some_ids(static_cast<int64_t>(random() % 500));
  const Ids own = random_ids(random, 1 + random() % 200);
  prompt.insert(prompt.end(), own.begin(), own.end());
  Submit submit = TinyServer::request(id, prompt, 1 + static_cast<int64_t>(random() % 30));
  submit.draw.sampling = {.seed = random()};
  return submit;
}

/// Cancels and pauses some of 100 random requests; returns how many got their whole reply.
int64_t run_random_requests(TinyServer& server, const std::string& failure) {
  constexpr RequestId kRequests = 100;
  std::mt19937_64 random(3);
  for (RequestId id = 0; id < kRequests; ++id) {
    server.loop().post(random_request(random, id));
    const auto any = [&] { return static_cast<RequestId>(random() % (id + 1)); };
    if (random() % 3 == 0) server.loop().post(Cancel{any(), random() % 2 == 0});
    if (random() % 5 == 0) server.loop().post(Pause{any()});
    if (random() % 8 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
    const EngineState state = server.loop().state();
    EXPECT_LE(state.in_use, state.reserved + state.cached);
    EXPECT_LE(state.reserved + state.cached, state.capacity);
  }
  for (RequestId id = 0; id < kRequests; ++id) server.loop().post(Resume{id});
  int64_t num_whole = 0;
  for (RequestId id = 0; id < kRequests; ++id) {
    const ServedReply reply = server.wait(id);
    EXPECT_TRUE(reply.failure.empty() || reply.failure == failure) << reply.failure;
    num_whole += reply.end == RequestEnd::length ? 1 : 0;
  }
  return num_whole;
}

ServingOptions crowded_options() {
  ServingOptions options = tiny_serving_options();
  options.engine.max_kv_bytes = int64_t{4} << 20;  // some wait for pages, prefixes are evicted
  options.schedule.max_sequences = 8;
  return options;
}

TEST(EngineFaultsTest, TooLittleMemoryIsSaidAtTheStart) {
  ServingOptions options = tiny_serving_options();
  options.engine.max_kv_bytes = 10'000;
  EXPECT_EQ(error_of([&] { TinyServer server(options); }),
            "[serve] the KV cache may take 9.77 KiB, but 192 tokens take 144 KiB. Give it more "
            "memory.");
}

TEST(EngineFaultsTest, RandomRequestsWithRandomCancelsLeaveNothingBehind) {
  TinyServer server(crowded_options());
  EXPECT_GT(run_random_requests(server, ""), 30);
  EXPECT_GT(server.expect_no_leaks().hit_tokens, 0);
}

TEST(EngineFaultsTest, NorDoThoseWhoseStepsRunOutOfMemory) {
  ServingOptions options = crowded_options();
  std::mt19937_64 random(4);
  options.step = [&](Engine& engine, std::span<const BatchPart> parts, const BatchOptions& step) {
    if (has_prefill(parts) && random() % 10 == 0) throw std::bad_alloc();
    return engine.step(parts, step);
  };
  TinyServer server(options);
  EXPECT_GT(run_random_requests(server, "out of memory."), 20);
  server.expect_no_leaks();
}

}  // namespace
}  // namespace longgen
