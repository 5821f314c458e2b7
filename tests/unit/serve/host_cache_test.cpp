// Prefixes that the pool has no room for go to the host, and come back instead of being computed.
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <random>
#include <stdexcept>
#include <thread>

#include "tests/unit/error_text.h"
#include "tests/unit/serve/tiny_server.h"

namespace longgen {
namespace {

constexpr int64_t kPromptTokens = 300, kReplyTokens = 20;

/// A pool that holds one request at a time, and a host for many.
ServingOptions host_options(const std::string& pattern) {
  const KvLayout layout(hybrid_config(pattern), PageType::kFloat32);
  const int64_t pages = layout.pages_peak(0, kPromptTokens + 3 * kReplyTokens, Pattern::kBlock);
  ServingOptions options = tiny_serving_options();
  options.engine.max_kv_bytes = (pages + pages / 4) * layout.page_bytes();
  options.host_cache_bytes = 20 * pages * layout.page_bytes();
  return options;
}

/// As the number of a prompt says.
Submit numbered(RequestId id, uint64_t prompt) {
  std::mt19937_64 random(prompt);
  return TinyServer::request(id, random_ids(random, kPromptTokens), kReplyTokens);
}

TEST(HostCacheTest, WhatWasEvictedComesBackAndGivesTheSameText) {
  for (const char* pattern : {"sink", "sink=1,window=2,stride=3", "sink=0,window=1"}) {
    for (const bool overlaps : {false, true}) {
      ServingOptions options = host_options(pattern);
      options.overlaps = overlaps;
      TinyServer server(options, pattern);
      RequestId id = 0;
      for (uint64_t prompt = 0; prompt < 5; ++prompt) {
        const ServedReply cold = server.reply(numbered(++id, prompt));
        EXPECT_EQ(cold.cached_tokens, 0);
      }
      for (uint64_t prompt = 0; prompt < 4; ++prompt) {
        const Submit again = numbered(++id, prompt);
        const ServedReply warm = server.reply(again);
        EXPECT_EQ(warm.cached_tokens, 256) << pattern;
        EXPECT_EQ(warm.tokens, server.alone(again)) << pattern;
      }
      const EngineState state = server.expect_no_leaks();
      EXPECT_EQ(state.host_hit_tokens, 4 * 256) << pattern;
      EXPECT_GT(state.pages_to_device, 0);
      EXPECT_GE(state.pages_to_host, state.pages_to_device);
      EXPECT_LE(state.host_kinds.total(), state.host_capacity);
      EXPECT_GT(state.host_kinds.total(), 0);
    }
  }
}

TEST(HostCacheTest, WithoutItPromptsAreComputedAgain) {
  ServingOptions options = host_options("sink");
  options.host_cache_bytes = 0;
  TinyServer server(options, "sink");
  for (RequestId id = 0; id < 3; ++id) server.reply(numbered(id, static_cast<uint64_t>(id)));
  EXPECT_EQ(server.reply(numbered(3, 0)).cached_tokens, 0);
  EXPECT_EQ(server.expect_no_leaks().host_capacity, 0);
}

// Computing 256 tokens is predicted to take 256 ms.
TEST(HostCacheTest, WhatIsSoonerComputedThanCopiedIsComputed) {
  ServingOptions options = host_options("sink");
  options.copy_seconds = 0.1;
  TinyServer server(options, "sink");
  for (RequestId id = 0; id < 3; ++id) server.reply(numbered(id, static_cast<uint64_t>(id)));
  const Submit again = numbered(3, 0);
  const ServedReply reply = server.reply(again);
  EXPECT_EQ(reply.cached_tokens, 0);
  EXPECT_EQ(reply.tokens, server.alone(again));
  const EngineState state = server.expect_no_leaks();
  EXPECT_EQ(state.pages_to_device, 0);
  EXPECT_GT(state.pages_to_host, 0);
}

TEST(HostCacheTest, WhoGoesWhilePagesComeBackLeavesNothingBehind) {
  ServingOptions options = host_options("sink");
  options.schedule.step_budget_seconds = 0.1;
  options.cost = CostModel({0, 0, 0.05, 0, 0});
  options.schedule.max_queued_seconds = 1e6;
  options.copy_seconds = 0.05;  // a page or two in a step
  TinyServer server(options, "sink");
  for (RequestId id = 0; id < 3; ++id) server.reply(numbered(id, static_cast<uint64_t>(id)));
  for (RequestId id = 10; id < 20; ++id) {
    server.loop().post(numbered(id, static_cast<uint64_t>(id % 3)));
    std::this_thread::sleep_for(std::chrono::microseconds(200 * (id - 10)));
    server.loop().post(Cancel{id});
    server.wait(id);
  }
  const Submit again = numbered(30, 1);
  const ServedReply reply = server.reply(again);
  EXPECT_EQ(reply.cached_tokens, 256);
  EXPECT_EQ(reply.tokens, server.alone(again));
  server.expect_no_leaks();
}

TEST(HostCacheTest, MemoryThatTheMachineLacksIsSaidAtOnce) {
  const TinyDecoder model;
  ServingOptions options = tiny_serving_options();
  options.host_cache_bytes = int64_t{1} << 50;
  EXPECT_ERROR(EngineCore(model.decoder, options),
               "[host pages] the host shall keep 1.00 PiB of the KV cache, but the machine has "
               "only ");
  options.host_cache_bytes = 1;
  EXPECT_ERROR(EngineCore(model.decoder, options), "Give it more memory, or none.");
}

/// Twice the pages of a request, a quarter of whose reply is reserved. Every sequence passes the
/// layers by itself, so that its bits do not depend on the others.
ServingOptions overcommitted(bool overlaps) {
  const KvLayout layout(hybrid_config("sink=1,window=2,stride=3"), PageType::kFloat32);
  const int64_t pages = layout.pages_peak(0, 360, Pattern::kBlock);
  ServingOptions options = tiny_serving_options();
  options.engine.isolate_sequences = true;
  options.engine.max_kv_bytes = 2 * pages * layout.page_bytes();
  options.host_cache_bytes = 10 * pages * layout.page_bytes();
  options.overcommit = 4;
  options.overlaps = overlaps;
  return options;
}

Submit long_reply(std::mt19937_64& random, RequestId id) {
  Submit submit = TinyServer::request(id, random_ids(random, 1 + random() % 60), 300);
  if (id % 2 == 0) submit.draw.sampling = {.temperature = 0.9, .seed = random()};
  if (id % 3 == 0) submit.draw.sampling.repetition_penalty = 1.2;
  return submit;
}

TEST(OvercommitTest, WhoWasOnTheHostGetsTheTokensThatItGetsAlone) {
  for (const bool overlaps : {false, true}) {
    TinyServer server(overcommitted(overlaps));
    std::mt19937_64 random(1);
    std::vector<Submit> all;
    for (RequestId id = 0; id < 8; ++id) {
      all.push_back(long_reply(random, id));
      server.loop().post(all.back());
    }
    for (const Submit& submit : all) {
      EXPECT_EQ(server.wait(submit.request.id).tokens, server.alone(submit)) << submit.request.id;
    }
    const EngineState state = server.expect_no_leaks();
    EXPECT_GT(state.num_preemptions, 0);
    EXPECT_EQ(state.num_swapped, 0);
  }
}

TEST(OvercommitTest, WithoutItNobodyIsSentAway) {
  ServingOptions options = overcommitted(false);
  options.overcommit = 1;
  TinyServer server(options);
  std::mt19937_64 random(1);
  for (RequestId id = 0; id < 6; ++id) server.loop().post(long_reply(random, id));
  for (RequestId id = 0; id < 6; ++id) EXPECT_EQ(server.wait(id).tokens.size(), 300u);
  EXPECT_EQ(server.expect_no_leaks().num_preemptions, 0);
}

TEST(OvercommitTest, WhoGoesOnTheHostLeavesNothingBehind) {
  for (const bool overlaps : {false, true}) {
    TinyServer server(overcommitted(overlaps));
    std::mt19937_64 random(2);
    for (RequestId id = 0; id < 24; ++id) {
      server.loop().post(long_reply(random, id));
      if (id % 3 > 0) continue;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      for (RequestId other = 0; other <= id; other += 2) server.loop().post(Cancel{other});
    }
    for (RequestId id = 0; id < 24; ++id) server.wait(id);
    server.expect_no_leaks();
  }
}

TEST(OvercommitTest, AFaultEndsThoseOnTheHostToo) {
  ServingOptions options = overcommitted(false);
  std::atomic<bool> fails = false;
  options.step = [&](Engine& engine, std::span<const BatchPart> parts, const BatchOptions& step) {
    if (fails) throw std::runtime_error("the device has gone");
    return engine.step(parts, step);
  };
  TinyServer server(options);
  std::mt19937_64 random(1);
  for (RequestId id = 0; id < 8; ++id) server.loop().post(long_reply(random, id));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (server.loop().state().num_swapped == 0 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  fails = true;
  int num_failed = 0;
  for (RequestId id = 0; id < 8; ++id) num_failed += server.wait(id).failure.empty() ? 0 : 1;
  EXPECT_GT(num_failed, 0);
  server.loop().drain(60);  // the state is told behind the replies
  EXPECT_EQ(server.loop().state().phase, EnginePhase::failed);
}

}  // namespace
}  // namespace longgen
