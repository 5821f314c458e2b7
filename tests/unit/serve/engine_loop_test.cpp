#include "longgen/serve/engine_loop.h"

#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <thread>

#include "longgen/engine/score.h"
#include "tests/unit/error_text.h"
#include "tests/unit/serve/tiny_server.h"

namespace longgen {
namespace {

// More than any test draws; such a request is cancelled.
constexpr int64_t kForEver = 20'000;

TEST(EngineLoopTest, RequestsTogetherGetTheTokensThatTheyGetAlone) {
  TinyServer server;
  std::mt19937_64 random(1);
  std::vector<Submit> all;
  for (RequestId id = 0; id < 12; ++id) {
    Submit submit = TinyServer::request(id, random_ids(random, 1 + random() % 400), 20);
    if (id % 3 > 0) submit.draw.sampling = {.temperature = 0.9, .top_p = 0.95, .seed = random()};
    if (id % 3 > 1) {
      submit.draw.sampling.repetition_penalty = 1.3;
      submit.draw.sampling.frequency_penalty = 0.5;
      submit.draw.sampling.logit_bias = {{3, 2.0}};
    }
    all.push_back(submit);
    server.loop().post(submit);
  }
  for (const Submit& submit : all) {
    const ServedReply reply = server.wait(submit.request.id);
    EXPECT_EQ(reply.tokens, server.alone(submit)) << submit.request.id;
    EXPECT_EQ(reply.end, RequestEnd::length);
  }
  const EngineState state = server.expect_no_leaks();
  EXPECT_EQ(state.generated_tokens, 240);
  EXPECT_LT(state.num_steps, 100) << "they move together";
}

TEST(EngineLoopTest, APrefixIsFoundAgainAndGivesTheSameText) {
  for (const char* pattern : {"sink", "sink=1,window=2,stride=3", "sink=0,window=1"}) {
    TinyServer server(tiny_serving_options(), pattern);
    const Ids prompt = some_ids(300);
    const ServedReply cold = server.reply(TinyServer::request(1, prompt, 100));
    EXPECT_EQ(cold.cached_tokens, 0);
    const ServedReply warm = server.reply(TinyServer::request(2, prompt, 100));
    EXPECT_EQ(warm.cached_tokens, 256);
    EXPECT_EQ(warm.tokens, cold.tokens);
    // The next turn of a chat: 399 tokens are in the cache when the reply has ended.
    Ids turn = prompt;
    turn.insert(turn.end(), cold.tokens.begin(), cold.tokens.end());
    turn.push_back(7);
    const Submit next = TinyServer::request(3, turn, 10);
    const ServedReply reply = server.reply(next);
    EXPECT_EQ(reply.cached_tokens, 384);
    EXPECT_EQ(reply.tokens, server.alone(next));
    Submit other = TinyServer::request(4, prompt, 5);
    other.request.salt = "another";
    EXPECT_EQ(server.reply(other).cached_tokens, 0);
    const EngineState state = server.expect_no_leaks();
    EXPECT_GT(state.cached, 0);
    EXPECT_EQ(state.hit_tokens, 256 + 384);
    EXPECT_EQ(state.queried_tokens, 300 + 300 + 401 + 300);
    EXPECT_EQ(state.prompt_tokens, state.queried_tokens);
  }
}

TEST(EngineLoopTest, RequestsOfOnePromptComputeItOnce) {
  TinyServer server;
  for (RequestId id = 0; id < 5; ++id) {
    Submit submit = TinyServer::request(id, some_ids(300), 12);
    submit.draw.sampling = {.seed = 100 + static_cast<uint64_t>(id)};
    server.loop().post(submit);
  }
  int64_t hits = 0;
  for (RequestId id = 0; id < 5; ++id) {
    const ServedReply reply = server.wait(id);
    hits += *reply.cached_tokens;
    Submit submit = TinyServer::request(id, some_ids(300), 12);
    submit.draw.sampling = {.seed = 100 + static_cast<uint64_t>(id)};
    EXPECT_EQ(reply.tokens, server.alone(submit));
  }
  EXPECT_EQ(hits, 4 * 256);
  server.expect_no_leaks();
}

TEST(EngineLoopTest, AStopTokenEndsAReplyButNotBeforeMinTokens) {
  TinyServer server;
  Submit submit = TinyServer::request(1, some_ids(70), 30);
  const Ids all = server.alone(submit);
  submit.draw.stop_tokens = {all[9]};
  const ServedReply stopped = server.reply(submit);
  EXPECT_EQ(stopped.tokens, server.alone(submit));
  EXPECT_EQ(stopped.end, RequestEnd::stop_token);
  EXPECT_LE(stopped.tokens.size(), 10u);
  submit.request.id = 2;
  submit.draw.min_tokens = static_cast<int64_t>(stopped.tokens.size()) + 5;
  const ServedReply later = server.reply(submit);
  EXPECT_EQ(later.tokens, server.alone(submit));
  EXPECT_GE(std::ssize(later.tokens), submit.draw.min_tokens);
  EXPECT_EQ(std::count(later.tokens.begin(), later.tokens.begin() + submit.draw.min_tokens, all[9]),
            0);
  server.expect_no_leaks();
}

TEST(EngineLoopTest, LogprobsAreThoseOfScore) {
  TinyServer server;
  Submit submit = TinyServer::request(1, some_ids(200), 6);
  submit.request.reads_prefixes = false;
  submit.draw.num_prompt_logprobs = 3;
  submit.draw.num_logprobs = 2;
  submit.draw.tells_progress = true;
  submit.draw.sampling = {.logit_bias = {{5, 100}}, .temperature = 0};  // not the best by itself
  server.loop().post(TinyServer::request(2, some_ids(90), 40));         // rows beside its own
  const ServedReply reply = server.reply(submit);
  Ids ids = submit.request.prompt;
  ids.insert(ids.end(), reply.tokens.begin(), reply.tokens.end());
  Session session(server.decoder());
  const TokenScores scores = score_tokens(session, ids, {.top = 3});
  std::vector<TokenLogprobs> found = reply.prompt_logprobs;
  ASSERT_EQ(found.size(), 199u);
  for (const auto& logprobs : reply.logprobs) found.push_back(*logprobs);
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_NEAR(found[i].logprob, scores.logprobs[i], 1e-4) << i;
    ASSERT_EQ(found[i].best.size(), i < 199 ? 3u : 2u);
    for (size_t b = 0; b < found[i].best.size(); ++b) {
      EXPECT_EQ(found[i].best[b].token, scores.top[i][b].first);
      EXPECT_NEAR(found[i].best[b].logprob, scores.top[i][b].second, 1e-4);
    }
    EXPECT_EQ(found[i].rank == 1, found[i].best[0].token == ids[i + 1]);
  }
  EXPECT_EQ(reply.tokens, Ids(6, 5));
  ASSERT_GE(reply.progress.size(), 2u);
  EXPECT_EQ(reply.progress.back().done_tokens, 200);
  EXPECT_EQ(reply.progress.back().remaining_seconds, 0);
  EXPECT_GT(reply.progress.front().remaining_seconds, 0);
  server.wait(2);
  server.expect_no_leaks();
}

TEST(EngineLoopTest, RequestsAreCancelledInEveryPhase) {
  ServingOptions options = tiny_serving_options();
  options.schedule.max_sequences = 2;
  std::atomic<int> num_steps = 0;
  TinyServer* at = nullptr;
  options.step = [&](Engine& engine, std::span<const BatchPart> parts, const BatchOptions& step) {
    if (++num_steps == 3) at->loop().post(Cancel{1});
    return engine.step(parts, step);
  };
  TinyServer server(options);
  at = &server;
  server.loop().post(TinyServer::request(1, some_ids(5000), 5));  // is in its prefill at step 3
  EXPECT_EQ(server.wait(1).end, RequestEnd::cancelled);
  EXPECT_LE(num_steps, 3);
  server.loop().post(TinyServer::request(2, some_ids(10), kForEver));
  server.loop().post(TinyServer::request(3, {5, 6}, kForEver));
  server.wait(2, has_tokens);
  server.wait(3, has_tokens);
  server.loop().post(TinyServer::request(4, {7}, kForEver));  // waits
  server.loop().post(Cancel{4});
  const ServedReply waiting = server.wait(4);
  EXPECT_EQ(waiting.end, RequestEnd::cancelled);
  EXPECT_FALSE(waiting.cached_tokens.has_value());
  server.loop().post(Cancel{2});
  const ServedReply decoding = server.wait(2);
  EXPECT_EQ(decoding.end, RequestEnd::cancelled);
  EXPECT_LT(std::ssize(decoding.tokens), kForEver);
  server.loop().post(Cancel{3, /*keeps_prefix=*/true});
  server.loop().post(Cancel{3});
  server.loop().post(Cancel{99});
  server.wait(3);
  server.expect_no_leaks();
}

TEST(EngineLoopTest, AStepThatNobodyWaitsForIsGivenUp) {
  ServingOptions options = tiny_serving_options();
  TinyServer* at = nullptr;
  std::atomic<bool> was_given_up = false, others_went_on = false;
  options.step = [&](Engine& engine, std::span<const BatchPart> parts, const BatchOptions& step) {
    if (has_prefill(parts)) at->loop().post(Cancel{parts.size() == 1 ? 1 : 3});
    const BatchResult result = engine.step(parts, step);
    if (result.end == BatchEnd::cancelled) was_given_up = true;
    if (parts.size() > 1 && result.end == BatchEnd::done) others_went_on = true;
    return result;
  };
  TinyServer server(options);
  at = &server;
  EXPECT_EQ(server.reply(TinyServer::request(1, some_ids(90), 5)).end, RequestEnd::cancelled);
  EXPECT_TRUE(was_given_up);
  // One token is a chunk too, but does not count as one above.
  server.loop().post(TinyServer::request(2, {1}, kForEver));
  server.wait(2, has_tokens);
  EXPECT_EQ(server.reply(TinyServer::request(3, some_ids(300), 5)).end, RequestEnd::cancelled);
  EXPECT_TRUE(others_went_on);
  server.loop().post(Cancel{2});
  server.expect_no_leaks();
}

TEST(EngineLoopTest, APausedRequestWaits) {
  ServingOptions options = tiny_serving_options();
  int num_steps = 0;
  TinyServer* at = nullptr;
  options.step = [&](Engine& engine, std::span<const BatchPart> parts, const BatchOptions& step) {
    if (++num_steps == 12) at->loop().post(Pause{1});  // two of them are prefill
    return engine.step(parts, step);
  };
  TinyServer server(options);
  at = &server;
  const Submit first = TinyServer::request(1, some_ids(250), 60);
  server.loop().post(first);
  const auto at_pause = [](const ServedReply& reply) { return reply.tokens.size() == 11; };
  server.wait(1, at_pause);
  EXPECT_EQ(server.reply(TinyServer::request(2, some_ids(20), 100)).tokens.size(), 100u);
  EXPECT_EQ(server.wait(1, at_pause).tokens.size(), 11u);
  server.loop().post(Resume{1});
  EXPECT_EQ(server.wait(1).tokens, server.alone(first));
  server.expect_no_leaks();
}

TEST(EngineLoopTest, DrainFinishesWhatIsThereAndCancelsWhatIsLate) {
  TinyServer server;
  const Submit first = TinyServer::request(1, some_ids(100), 40);
  server.loop().post(first);
  server.loop().drain(60);
  EXPECT_EQ(server.wait(1).tokens, server.alone(first));
  EXPECT_EQ(server.loop().state().phase, EnginePhase::draining);
  EXPECT_EQ(server.reply(TinyServer::request(2, {1}, 1)).failure, "The server is shutting down.");

  TinyServer late;
  late.loop().post(TinyServer::request(1, some_ids(10), kForEver));
  late.wait(1, has_tokens);
  late.loop().post(Pause{1});
  late.loop().drain(0.05);
  EXPECT_EQ(late.wait(1).end, RequestEnd::cancelled);
  late.expect_no_leaks();
}

TEST(EngineLoopTest, WhatGoesEndsItsRequests) {
  ServedReply reply;
  {
    const TinyDecoder model;
    EngineLoop loop(model.decoder, tiny_serving_options(), [&](std::vector<EngineEvent> events) {
      for (const EngineEvent& event : events) {
        std::visit([&](const auto& what) { reply.add(what); }, event.what);
      }
    });
    loop.post(TinyServer::request(1, some_ids(10), 100'000));
  }
  EXPECT_EQ(reply.end, RequestEnd::cancelled);
  EXPECT_EQ(reply.num_ends, 1);
}

TEST(EngineLoopTest, SleepsWhereNothingCanRun) {
  ServingOptions options = tiny_serving_options();
  std::atomic<int64_t> num_looks = 0;  // it looks at the clock in every turn
  options.now = [&] { return 1e-4 * static_cast<double>(++num_looks); };
  TinyServer server(options);
  server.loop().post(TinyServer::request(1, some_ids(10), kForEver));
  server.wait(1, has_tokens);
  server.loop().post(Pause{1});
  server.reply(TinyServer::request(2, {1}, 1));
  int64_t before = -1;
  for (int i = 0; i < 100 && num_looks != before; ++i) {
    before = num_looks;
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
  }
  EXPECT_EQ(num_looks, before);
  server.loop().post(Cancel{1});
  server.expect_no_leaks();
}

TEST(EngineLoopTest, MetricsCountHowRequestsEnd) {
  ServingOptions options = tiny_serving_options();
  std::atomic<double> clock = 100;
  options.now = [&] { return clock.load(); };
  options.step = [&](Engine& engine, std::span<const BatchPart> parts, const BatchOptions& step) {
    clock = clock + 0.2;
    return engine.step(parts, step);
  };
  TinyServer server(options);
  server.reply(TinyServer::request(1, some_ids(300), 4));
  Submit stopped = TinyServer::request(2, some_ids(10), 10);
  stopped.draw.stop_tokens = server.alone(stopped);
  server.reply(stopped);
  server.loop().post(TinyServer::request(3, {1}, kForEver));
  server.wait(3, has_tokens);
  server.loop().post(Cancel{3});
  server.loop().post(TinyServer::request(4, {2}, kForEver));
  server.wait(4, has_tokens);
  server.loop().post(Cancel{4, /*keeps_prefix=*/true});  // by a stop string
  server.expect_no_leaks();
  const std::string text = server.loop().metrics().text("tiny");
  const auto has = [&](const std::string& line) {
    EXPECT_NE(text.find(line + "\n"), std::string::npos) << line << "\n" << text;
  };
  const std::string ends = "vllm:request_success_total{model_name=\"tiny\",finished_reason=";
  has(ends + "\"stop\"} 2");
  has(ends + "\"length\"} 1");
  has(ends + "\"abort\"} 1");
  has(ends + "\"error\"} 0");
  // 300 tokens are two steps of 200 without decoders; the others' prompts are one step each.
  has("vllm:time_to_first_token_seconds_bucket{model_name=\"tiny\",le=\"0.25\"} 3");
  has("vllm:time_to_first_token_seconds_bucket{model_name=\"tiny\",le=\"0.5\"} 4");
  has("vllm:request_queue_time_seconds_count{model_name=\"tiny\"} 4");
  has("vllm:request_prompt_tokens_sum{model_name=\"tiny\"} 311");
}

TEST(EngineLoopTest, TheStateSaysWhoHoldsWhat) {
  TinyServer server;
  server.reply(TinyServer::request(1, some_ids(640), 1));
  server.loop().post(TinyServer::request(2, some_ids(700), kForEver));
  server.wait(2, has_tokens);
  server.loop().post(Pause{2});
  server.reply(TinyServer::request(3, {1}, 1));  // after it the pause was read
  const EngineState state = server.loop().state();
  const RunningRequest& running = state.running.front();
  EXPECT_EQ(running.id, 2);
  EXPECT_EQ(running.prompt_tokens, 700);
  EXPECT_EQ(running.hit_tokens, 640);
  EXPECT_EQ(running.num_tokens, 700 + running.generated_tokens - 1);
  EXPECT_EQ(running.remaining_seconds, 0);
  EXPECT_EQ(running.max_new_tokens, kForEver);
  EXPECT_TRUE(running.is_paused);
  int64_t reserved = 0;  // request 3 may still be among them
  for (const RunningRequest& each : state.running) reserved += each.reserved_pages;
  EXPECT_EQ(reserved, state.reserved);
  const KvLayout layout(hybrid_config("sink=1,window=2,stride=3"), PageType::kFloat32);
  EXPECT_EQ(state.full_bytes, layout.full_kv_bytes(running.num_tokens));
  EXPECT_EQ(state.own_kinds.total(), state.in_use - state.cached);
  // Of its own it has what it did not find, and of that what it has not given to the cache.
  EXPECT_EQ(state.own_kinds.sink, 0);
  EXPECT_GT(state.own_kinds.full, 0);
  EXPECT_LE(state.own_kinds.total(), running.reserved_pages);
  EXPECT_EQ(state.read_kinds.total(), layout.pages_held(running.num_tokens));
  EXPECT_EQ(state.cached_kinds.total(), state.cached);
  for (const PageKinds& kinds : {state.read_kinds, state.cached_kinds}) {
    EXPECT_GT(kinds.full, 0);
    EXPECT_GT(kinds.sink, 0);
    EXPECT_GT(kinds.stride, 0);
    EXPECT_GT(kinds.window, 0);
  }
  server.loop().post(Cancel{2});
  server.expect_no_leaks();
}

TEST(EngineLoopTest, WhatIsWrongOrTooMuchIsRefused) {
  ServingOptions options = tiny_serving_options();
  options.engine.max_kv_bytes = int64_t{2} << 20;
  options.schedule.max_sequences = 1;
  options.schedule.max_queued = 1;
  TinyServer server(options);
  const Submit huge = TinyServer::request(1, some_ids(100), 1'000'000);
  EXPECT_FALSE(server.loop().can_ever_fit(huge.request));
  EXPECT_EQ(server.reply(huge).failure, "The request needs more memory than the KV cache has.");
  EXPECT_EQ(server.reply(TinyServer::request(2, {5, kVocab}, 1)).failure,
            "[sample] prompt: expected tokens from 0 to 319, found 320.");
  Submit bad = TinyServer::request(3, {5}, 1);
  bad.draw.sampling.top_p = 7;
  EXPECT_NE(server.reply(bad).failure.find("top_p"), std::string::npos);
  EXPECT_NE(server.reply(TinyServer::request(4, {}, 1)).failure.find("needs a prompt"),
            std::string::npos);

  const Submit good = TinyServer::request(5, some_ids(10), 1500);
  EXPECT_TRUE(server.loop().can_ever_fit(good.request));
  server.loop().post(good);
  server.wait(5, has_tokens);
  server.loop().post(TinyServer::request(6, {5}, 1));
  const ServedReply rejected = server.reply(TinyServer::request(7, {5}, 1));
  EXPECT_GE(rejected.retry_after_seconds.value_or(0), 1);
  server.loop().post(Cancel{5});
  EXPECT_EQ(server.wait(6).tokens.size(), 1u);
  server.expect_no_leaks();
}

TEST(EngineLoopTest, StepsAreMeasuredAtTheStart) {
  ServingOptions options = tiny_serving_options();
  options.cost.reset();
  options.calibration_seconds = 0.3;
  TinyServer server(options);
  server.loop().post(TinyServer::request(1, some_ids(600), 30));
  const Submit second = TinyServer::request(2, some_ids(20), 30);
  EXPECT_EQ(server.reply(second).tokens, server.alone(second));
  server.wait(1);
  const EngineState state = server.expect_no_leaks();
  EXPECT_GT(state.measured_seconds, 0);
  EXPECT_GT(state.predicted_seconds, 0);
}

}  // namespace
}  // namespace longgen
