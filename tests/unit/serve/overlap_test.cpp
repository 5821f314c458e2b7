// Steps that are launched before the tokens of the last one are looked at, as on a GPU. A CPU does
// the same without waiting for anything.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <random>
#include <thread>

#include "tests/unit/serve/bad_logits.h"
#include "tests/unit/serve/tiny_server.h"

namespace longgen {
namespace {

using Ids = std::vector<int32_t>;

ServingOptions overlapping() {
  ServingOptions options = tiny_serving_options();
  options.overlaps = true;
  return options;
}

/// Everything that a draw may depend on.
Submit random_submit(std::mt19937_64& random, RequestId id) {
  Ids prompt = some_ids(static_cast<int64_t>(random() % 300));  // they begin alike
  for (int64_t i = static_cast<int64_t>(random() % 90); i >= 0; --i) {
    prompt.push_back(static_cast<int32_t>(random() % kVocab));
  }
  Submit submit = TinyServer::request(id, prompt, 1 + static_cast<int64_t>(random() % 30));
  SamplingOptions& sampling = submit.draw.sampling;
  if (id % 3 > 0) sampling = {.temperature = 0.9, .top_p = 0.95, .seed = random()};
  if (id % 3 > 1) {
    sampling.repetition_penalty = 1.3;
    sampling.frequency_penalty = 0.5;
    sampling.logit_bias = {{3, 2.0}};
  }
  for (int i = 0; i < 12; ++i) {
    submit.draw.stop_tokens.push_back(static_cast<int32_t>(random() % kVocab));
  }
  submit.draw.min_tokens = static_cast<int64_t>(random() % 3);
  if (id % 4 == 0) submit.draw.num_logprobs = 2;
  return submit;
}

TEST(OverlapTest, RequestsGetTheTokensThatTheyGetAlone) {
  TinyServer server(overlapping());
  std::mt19937_64 random(1);
  std::vector<Submit> all;
  for (RequestId id = 0; id < 40; ++id) {
    all.push_back(random_submit(random, id));
    server.loop().post(all.back());
  }
  int num_stopped = 0;
  for (const Submit& submit : all) {
    const ServedReply reply = server.wait(submit.request.id);
    EXPECT_EQ(reply.tokens, server.alone(submit)) << submit.request.id;
    for (const auto& logprobs : reply.logprobs) {
      EXPECT_EQ(logprobs.has_value(), submit.draw.num_logprobs.has_value());
    }
    num_stopped += reply.end == RequestEnd::stop_token ? 1 : 0;
  }
  EXPECT_GT(num_stopped, 3) << "too few cases where a row was thrown away";
  server.expect_no_leaks();
}

// A stop token is in the cache when its reply ends, because the next step was under way.
// A grammar allows what it does by the token before, which is in flight when the step is launched.
TEST(OverlapTest, GrammarsReadEveryToken) {
  std::vector<std::string> bytes(kVocab);
  for (size_t id = 0; id < 256; ++id) bytes[id] = std::string(1, static_cast<char>(id));
  const auto grammar = Grammar::compile(std::make_shared<const TokenBytes>(bytes),
                                        R"(root ::= "[" [0-9]{1,8} ("," [0-9]{1,8}){0,5} "]")");
  for (const bool overlaps : {true, false}) {
    ServingOptions options = tiny_serving_options();
    options.overlaps = overlaps;
    TinyServer server(options);
    std::mt19937_64 random(5);
    std::vector<Submit> all;
    for (RequestId id = 0; id < 20; ++id) {
      all.push_back(random_submit(random, id));
      Submit& submit = all.back();
      if (id % 3 != 0) {
        submit.draw.grammar = grammar;
        submit.draw.min_tokens = 0;
        submit.draw.stop_tokens = {300, 301};
      }
      if (id % 5 == 0) submit.request.max_new_tokens = 100;
      server.loop().post(submit);
    }
    int num_whole = 0;
    for (const Submit& submit : all) {
      const ServedReply reply = server.wait(submit.request.id);
      EXPECT_EQ(reply.failure, "");
      EXPECT_EQ(reply.tokens, server.alone(submit)) << submit.request.id;
      num_whole += submit.draw.grammar && reply.end == RequestEnd::stop_token ? 1 : 0;
    }
    EXPECT_GT(num_whole, 2);
    server.expect_no_leaks();
  }
}

// With logits for none of what it allows, the request fails, and the others go on.
TEST(OverlapTest, AGrammarThatNoTokenMeetsFailsItsRequestAlone) {
  const auto grammar = Grammar::compile(
      std::make_shared<const TokenBytes>(std::vector<std::string>(kVocab, "a")), R"(root ::= "b")");
  TinyServer server(overlapping());
  Submit submit = TinyServer::request(1, some_ids(10), 20);
  submit.draw.grammar = grammar;
  submit.draw.stop_tokens = {7};
  const Submit other = TinyServer::request(2, some_ids(20), 30);
  server.loop().post(other);
  EXPECT_EQ(server.reply(submit).failure,
            "[sample] step 1: every token that could follow is barred.");
  EXPECT_EQ(server.wait(2).tokens, server.alone(other));
  submit.request.id = 3;
  submit.draw.stop_tokens = {};
  EXPECT_NE(server.reply(submit).failure.find("expected a stop token"), std::string::npos);
  server.expect_no_leaks();
}

TEST(OverlapTest, ThePrefixOfAStoppedReplyIsFound) {
  TinyServer server(overlapping());
  Submit submit = TinyServer::request(1, some_ids(300), 200);
  submit.draw.sampling.temperature = 1.5;
  // A token that comes first as the last one of a block.
  Ids all;
  do {
    ++submit.draw.sampling.seed;
    all = server.alone(submit);
  } while (std::count(all.begin(), all.begin() + 83, all[83]) > 0);
  submit.draw.stop_tokens = {all[83]};
  const ServedReply stopped = server.reply(submit);
  ASSERT_EQ(stopped.tokens.size(), 84u);
  Ids turn = submit.request.prompt;
  turn.insert(turn.end(), stopped.tokens.begin(), stopped.tokens.end());
  turn.push_back(7);
  const Submit next = TinyServer::request(2, turn, 10);
  const ServedReply reply = server.reply(next);
  EXPECT_EQ(reply.cached_tokens, 384);
  EXPECT_EQ(reply.tokens, server.alone(next));
  server.expect_no_leaks();
}

// A number may be given out again as soon as its request has ended, while a row of it is under way.
TEST(OverlapTest, ARowOfAnEndedRequestIsNotTakenForANewOne) {
  const TinyServer other;
  Submit submit = TinyServer::request(1, some_ids(70), 30);
  submit.draw.stop_tokens = {other.alone(submit)[9]};
  std::vector<Ids> replies(1);
  std::promise<void> all_ended;
  std::unique_ptr<EngineLoop> loop;
  loop = std::make_unique<EngineLoop>(
      other.decoder(), overlapping(), [&](const std::vector<EngineEvent>& events) {
        for (const EngineEvent& event : events) {
          const auto* const drawn = std::get_if<TokenDrawn>(&event.what);
          if (drawn != nullptr) replies.back().push_back(drawn->token);
          if (!std::holds_alternative<RequestEnded>(event.what)) continue;
          if (replies.size() == 5) return all_ended.set_value();
          replies.emplace_back();
          loop->post(submit);
        }
      });
  loop->post(submit);
  ASSERT_EQ(all_ended.get_future().wait_for(std::chrono::seconds(60)), std::future_status::ready);
  EXPECT_EQ(replies, std::vector<Ids>(5, other.alone(submit)));
}

TEST(OverlapTest, BadLogitsFailTheirRequestAlone) {
  TinyServer server(with_bad_logits(overlapping()));
  const Submit first = TinyServer::request(1, some_ids(10), 200);
  server.loop().post(first);
  const ServedReply bad = server.reply(TinyServer::request(2, some_ids(20), 5));
  EXPECT_NE(bad.failure.find("the logit of token 0 is NaN"), std::string::npos) << bad.failure;
  EXPECT_EQ(server.wait(1).tokens, server.alone(first));
  server.expect_no_leaks();
}

TEST(OverlapTest, AFaultEndsAllRequests) {
  ServingOptions options = overlapping();
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
}

TEST(OverlapTest, RandomCancelsAndPausesLeaveNothingBehind) {
  ServingOptions options = overlapping();
  options.engine.max_kv_bytes = int64_t{4} << 20;  // some wait for pages, prefixes are evicted
  options.schedule.max_sequences = 8;
  TinyServer server(options);
  std::mt19937_64 random(3);
  for (RequestId id = 0; id < 100; ++id) {
    server.loop().post(random_submit(random, id));
    const auto other = [&] { return static_cast<RequestId>(random() % (id + 1)); };
    if (random() % 3 == 0) server.loop().post(Cancel{other(), random() % 2 == 0});
    if (random() % 5 == 0) server.loop().post(Pause{other()});
    if (random() % 8 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
  for (RequestId id = 0; id < 100; ++id) server.loop().post(Resume{id});
  int64_t num_ended = 0;
  for (RequestId id = 0; id < 100; ++id) {
    const ServedReply reply = server.wait(id);
    EXPECT_EQ(reply.failure, "");
    num_ended += reply.end != RequestEnd::cancelled ? 1 : 0;
  }
  EXPECT_GT(num_ended, 30);
  const EngineState state = server.expect_no_leaks();
  EXPECT_GT(state.hit_tokens, 0);
  EXPECT_LE(state.cached, state.capacity);
}

}  // namespace
}  // namespace longgen
