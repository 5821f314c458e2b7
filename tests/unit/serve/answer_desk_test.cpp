#include "longgen/serve/answer_desk.h"

#include <gtest/gtest.h>

#include "longgen/serve/request_planner.h"
#include "tests/unit/serve/fake_exchange.h"
#include "tests/unit/serve/small_model.h"

namespace longgen {
namespace {

/// A desk whose engine is the test: it keeps what it is told and says what happens.
class AnswerDeskTest : public ::testing::Test {
 protected:
  std::shared_ptr<FakeExchange> begin(AnswerPlan plan) {
    auto exchange = std::make_shared<FakeExchange>();
    desk_.begin(std::move(plan), exchange);
    return exchange;
  }
  std::shared_ptr<FakeExchange> chat(const std::string& fields) {
    return begin(planner_.chat(
        R"({"messages": [{"role": "user", "content": "hi"}], "max_tokens": 40, )" + fields + "}",
        ""));
  }
  std::shared_ptr<FakeExchange> completion(const std::string& fields) {
    return begin(planner_.completion("{" + fields + "}", ""));
  }

  template <typename What>
  void event(RequestId request, What what) {
    desk_.take({request, std::move(what)});
  }
  void draw(RequestId request, const std::string& text) {
    for (const int32_t id : byte_ids(text)) event(request, TokenDrawn{id, std::nullopt});
  }
  void end(RequestId request) {
    event(request, TokenDrawn{kEnd, std::nullopt});
    event(request, RequestEnded{RequestEnd::stop_token});
  }

  /// The requests that were told to do what Message says, in order.
  template <typename Message>
  std::vector<RequestId> told() const {
    std::vector<RequestId> requests;
    for (const EngineMessage& message : told_) {
      const auto* found = std::get_if<Message>(&message);
      if constexpr (std::is_same_v<Message, Submit>) {
        if (found) requests.push_back(found->request.id);
      } else {
        if (found) requests.push_back(found->request);
      }
    }
    return requests;
  }
  using Ids = std::vector<RequestId>;

  ServedModel model_ = small_model();
  RequestPlanner planner_{model_, [](const Request&) { return true; }};
  std::vector<EngineMessage> told_;
  AnswerId watched_ = 0;  // the last answer that began
  AnswerDesk desk_{model_, [this](EngineMessage message) { told_.push_back(std::move(message)); },
                   [this](AnswerId id) {
                     watched_ = id;
                     return http::Exchange::Watcher{};
                   }};
};

TEST_F(AnswerDeskTest, AChatIsAnsweredWhole) {
  const auto exchange = chat("\"seed\": 1");
  ASSERT_EQ(told<Submit>(), Ids{1});
  event(1, RequestBegan{0});
  draw(1, "hello");
  end(1);
  EXPECT_EQ(exchange->status_, 200);
  const OrderedJson json = exchange->json();
  EXPECT_EQ(json["choices"][0]["message"]["content"], "hello");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(json["usage"]["prompt_tokens"], 2);
  EXPECT_EQ(json["usage"]["completion_tokens"], 6) << "the stop token was generated, too";
  EXPECT_EQ(exchange->num_answers_, 1);
  EXPECT_EQ(desk_.num_open(), 0);
  EXPECT_EQ(exchange->notes_.size(), 3u);
}

TEST_F(AnswerDeskTest, AStreamHasWholeCharactersAndNoStopToken) {
  const auto exchange = chat("\"stream\": true, \"stream_options\": {\"include_usage\": true}");
  EXPECT_FALSE(exchange->streams_) << "it may yet be refused";
  event(1, RequestBegan{0});
  EXPECT_TRUE(exchange->streams_);
  draw(1, "a\xC3");
  EXPECT_EQ(exchange->events().size(), 2u) << "role and a; half a character is held back";
  draw(1, "\xA9");
  event(1, TokenDrawn{kEnd, std::nullopt});
  event(1, RequestEnded{RequestEnd::stop_token});
  const auto events = exchange->events();
  ASSERT_EQ(events.size(), 5u);
  EXPECT_EQ(events[0]["choices"][0]["delta"]["role"], "assistant");
  EXPECT_EQ(events[1]["choices"][0]["delta"]["content"], "a");
  EXPECT_EQ(events[2]["choices"][0]["delta"]["content"], "é");
  EXPECT_EQ(events[3]["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(events[4]["usage"]["completion_tokens"], 4);
  EXPECT_TRUE(exchange->is_done());
}

TEST_F(AnswerDeskTest, AStopStringAcrossTokensEndsTheRequest) {
  for (const bool streams : {false, true}) {
    told_.clear();
    const auto exchange =
        chat(std::string("\"stop\": [\"END\"], \"logprobs\": true, \"stream\": ") +
             (streams ? "true" : "false"));
    const RequestId id = told<Submit>()[0];
    event(id, RequestBegan{0});
    for (const char c : std::string("xENyEND")) {
      event(id, TokenDrawn{c, TokenLogprobs{-1, 1, {}}});
    }
    ASSERT_EQ(told<Cancel>(), Ids{id});
    EXPECT_TRUE(std::get<Cancel>(told_.back()).keeps_prefix);
    draw(id, "more");  // was on its way
    event(id, RequestEnded{RequestEnd::cancelled});
    EXPECT_EQ(desk_.num_open(), 0);
    std::string text, tokens;
    int64_t num_generated = 0;
    if (streams) {
      EXPECT_TRUE(exchange->is_done());
      for (const auto& each : exchange->events()) {
        const auto& choice = each["choices"][0];
        if (choice["delta"].contains("content")) text += choice["delta"]["content"];
        if (choice["logprobs"].is_null()) continue;
        for (const auto& token : choice["logprobs"]["content"]) tokens += token["token"];
      }
    } else {
      const OrderedJson json = exchange->json();
      text = json["choices"][0]["message"]["content"];
      for (const auto& token : json["choices"][0]["logprobs"]["content"]) tokens += token["token"];
      num_generated = json["usage"]["completion_tokens"];
      EXPECT_EQ(json["choices"][0]["finish_reason"], "stop");
      EXPECT_EQ(num_generated, 7);
    }
    EXPECT_EQ(text, "xENy");
    EXPECT_EQ(tokens, "xENy") << "tokens of the stop string are no part of the answer";
  }
}

TEST_F(AnswerDeskTest, StopStringsWaitForMinTokens) {
  const auto exchange = chat("\"stop\": \"b\", \"min_tokens\": 3");
  event(1, RequestBegan{0});
  draw(1, "abba");
  EXPECT_EQ(told<Cancel>(), Ids{});
  draw(1, "cb");
  EXPECT_EQ(told<Cancel>(), Ids{1});
  EXPECT_EQ(exchange->json()["choices"][0]["message"]["content"], "abbac");
}

TEST_F(AnswerDeskTest, CallsOfFunctionsLeaveWhole) {
  const std::string tools = R"("tools": [{"type": "function", "function": {"name": "f"}}])";
  const std::string reply =
      "Well. <tool_call>{\"name\": \"f\", \"arguments\": {\"x\": 1}}</tool_call>";
  const auto whole = chat(tools);
  const auto stream = chat(tools + ", \"stream\": true");
  for (const RequestId id : {1, 2}) {
    event(id, RequestBegan{0});
    draw(id, reply);
    end(id);
  }
  const OrderedJson choice = whole->json()["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_EQ(choice["message"]["content"], "Well.");
  EXPECT_EQ(choice["message"]["tool_calls"][0]["function"]["arguments"], R"({"x":1})");
  std::string text;
  int64_t num_calls = 0;
  for (const auto& each : stream->events()) {
    const auto& delta = each["choices"][0]["delta"];
    if (delta.contains("content")) text += delta["content"];
    if (delta.contains("tool_calls")) {
      ++num_calls;
      EXPECT_EQ(delta["tool_calls"][0]["function"]["name"], "f");
    }
  }
  EXPECT_EQ(text, "Well.");
  EXPECT_EQ(num_calls, 1);
  EXPECT_EQ(stream->events().back()["choices"][0]["finish_reason"], "tool_calls");
}

TEST_F(AnswerDeskTest, ChoicesComeInAnyOrder) {
  const auto exchange = completion(R"("prompt": ["xy", "z"], "n": 2)");
  ASSERT_EQ(told<Submit>(), (Ids{1, 2, 3, 4}));
  for (const RequestId id : {4, 2, 1, 3}) {
    event(id, RequestBegan{id == 1 ? 1 : 0});
    draw(id, std::to_string(id));
  }
  for (const RequestId id : {3, 1, 4}) end(id);
  EXPECT_EQ(exchange->num_answers_, 0);
  event(2, RequestEnded{RequestEnd::length});
  const OrderedJson json = exchange->json();
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(json["choices"][i]["text"], std::to_string(i + 1));
    EXPECT_EQ(json["choices"][i]["finish_reason"], i == 1 ? "length" : "stop");
  }
  EXPECT_EQ(json["usage"]["prompt_tokens"], 3) << "each prompt counts once";
  EXPECT_EQ(json["usage"]["completion_tokens"], 7);
  EXPECT_EQ(json["usage"]["prompt_tokens_details"]["cached_tokens"], 1);
}

TEST_F(AnswerDeskTest, AnEchoHasThePromptsLogprobs) {
  const auto exchange =
      completion(R"("prompt": "pqr", "echo": true, "logprobs": 1, "max_tokens": 1)");
  event(1, RequestBegan{0});
  const auto place = [](double logprob, int32_t best) {
    return TokenLogprobs{logprob, 2, {{best, -0.5}, {'z', -3}}};
  };
  event(1, PromptLogprobs{{place(-1, 'x')}});
  event(1, PromptLogprobs{{place(-2, 'y')}});
  event(1, TokenDrawn{'d', place(-3, 'd')});
  event(1, RequestEnded{RequestEnd::length});
  const OrderedJson choice = exchange->json()["choices"][0];
  EXPECT_EQ(choice["text"], "pqrd");
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_EQ(dump_json(choice["logprobs"]),
            R"({"text_offset":[0,1,2,3],"token_logprobs":[null,-1.0,-2.0,-3.0],)"
            R"("tokens":["p","q","r","d"],)"
            R"("top_logprobs":[null,{"x":-0.5,"q":-1.0},{"y":-0.5,"r":-2.0},{"d":-0.5}]})");
}

TEST_F(AnswerDeskTest, NoTokensAtAllAreAnEchoOnly) {
  const auto exchange = completion(R"("prompt": "pqr", "echo": true, "max_tokens": 0,
                                   "prompt_logprobs": 0, "n": 1)");
  event(1, RequestBegan{0});
  event(1, PromptLogprobs{{TokenLogprobs{-1, 1, {}}, TokenLogprobs{-2, 5, {}}}});
  event(1, TokenDrawn{kEnd, std::nullopt});
  event(1, RequestEnded{RequestEnd::stop_token});
  const OrderedJson json = exchange->json();
  EXPECT_EQ(json["choices"][0]["text"], "pqr");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["usage"]["completion_tokens"], 0);
  EXPECT_EQ(json["choices"][0]["prompt_logprobs"][2]["114"]["rank"], 5);
}

TEST_F(AnswerDeskTest, ProgressIsPartOfAStream) {
  const auto exchange = chat("\"stream\": true, \"return_progress\": true");
  EXPECT_TRUE(std::get<Submit>(told_[0]).draw.tells_progress);
  event(1, RequestBegan{0});
  event(1, RequestProgress{1, 2.5});
  const OrderedJson progress = exchange->events().back()["prompt_progress"];
  EXPECT_EQ(progress["total"], 2);
  EXPECT_EQ(progress["processed"], 1);
  EXPECT_EQ(progress["eta_ms"], 2500);
}

TEST_F(AnswerDeskTest, ASlowReaderPausesAllOfItsRequests) {
  const auto exchange = chat("\"stream\": true, \"n\": 2");
  for (const RequestId id : {1, 2}) event(id, RequestBegan{0});
  desk_.full(watched_);
  EXPECT_EQ(told<Pause>(), (Ids{1, 2}));
  end(1);
  desk_.drained(watched_);
  EXPECT_EQ(told<Resume>(), Ids{2});
  desk_.drained(watched_);
  EXPECT_EQ(told<Resume>(), Ids{2}) << "it was not paused again";
}

TEST_F(AnswerDeskTest, WhoGoesCancelsInEveryPhase) {
  auto queued = chat("\"n\": 2");
  desk_.gone(watched_);
  EXPECT_EQ(told<Cancel>(), (Ids{1, 2}));
  event(1, RequestBegan{0});  // was on its way
  auto prefill = chat("\"stream\": true");
  event(3, RequestBegan{0});
  desk_.gone(watched_);
  auto decode = chat("\"stream\": true");
  event(4, RequestBegan{0});
  draw(4, "ab");
  desk_.gone(watched_);
  EXPECT_EQ(told<Cancel>(), (Ids{1, 2, 3, 4}));
  draw(4, "c");
  event(4, RequestEnded{RequestEnd::cancelled});
  auto ended = chat("\"seed\": 1");
  event(5, RequestBegan{0});
  end(5);
  desk_.gone(watched_);
  EXPECT_EQ(told<Cancel>().size(), 4u) << "there is nothing left to end";
  EXPECT_EQ(desk_.num_open(), 0);
  auto before = std::make_shared<FakeExchange>();
  before->is_gone_ = true;
  desk_.begin(planner_.completion(R"({"prompt": "a"})", ""), before);
  EXPECT_EQ(told<Submit>().size(), 5u) << "who has gone before is not served";
}

TEST_F(AnswerDeskTest, AFullQueueIs429WithSeconds) {
  const auto exchange = chat("\"stream\": true");
  event(1, RequestRejected{2.2});
  EXPECT_EQ(exchange->status_, 429);
  EXPECT_EQ(exchange->headers_, (http::Headers{{"Retry-After", "3"}}));
  EXPECT_EQ(exchange->json()["error"]["type"], "rate_limit_error");
  EXPECT_EQ(desk_.num_open(), 0);
}

TEST_F(AnswerDeskTest, AStreamThatWaitsLongBegins) {
  const auto exchange = chat("\"stream\": true");
  const auto now = std::chrono::steady_clock::now();
  EXPECT_TRUE(desk_.begin_late_streams(now));
  EXPECT_FALSE(exchange->streams_);
  EXPECT_FALSE(desk_.begin_late_streams(now + kSilenceOfStreams));
  EXPECT_TRUE(exchange->streams_);
  event(1, RequestBegan{0});
  end(1);
  EXPECT_TRUE(exchange->is_done());
}

TEST_F(AnswerDeskTest, ABatchGoesToTheQueuePartByPart) {
  const auto exchange = completion(R"("prompt": "a", "n": 20)");
  EXPECT_EQ(told<Submit>().size(), 8u);
  event(1, RequestBegan{0});
  EXPECT_EQ(told<Submit>().size(), 9u);
  event(9, RequestRejected{5});
  EXPECT_EQ(exchange->num_answers_, 0) << "its others will make room";
  EXPECT_EQ(told<Submit>().size(), 9u);
  for (RequestId id = 2; told<Submit>().size() < 21; ++id) {
    if (id != 9) event(id, RequestBegan{0});
  }
  for (RequestId id = 1; id <= 21; ++id) {
    if (id == 9) continue;
    event(id, RequestBegan{0});
    end(id);
  }
  EXPECT_EQ(exchange->json()["choices"].size(), 20u);
}

TEST_F(AnswerDeskTest, AFaultEndsAnAnswerOnce) {
  const auto whole = chat("\"n\": 2");
  event(1, RequestBegan{0});
  event(1, RequestFailed{"the engine broke"});
  EXPECT_EQ(whole->status_, 500);
  EXPECT_EQ(whole->json()["error"]["message"], "the engine broke");
  EXPECT_EQ(told<Cancel>(), Ids{2}) << "of what has failed nothing is left to cancel";
  event(2, RequestFailed{"the engine broke"});
  EXPECT_EQ(whole->num_answers_, 1);

  const auto stream = chat("\"stream\": true");
  event(3, RequestBegan{0});
  draw(3, "a");
  event(3, RequestFailed{"the engine broke"});
  EXPECT_EQ(stream->num_answers_, 1);
  EXPECT_EQ(stream->events().back()["error"]["type"], "server_error");
  EXPECT_FALSE(stream->is_done()) << "no false success";

  const auto ended = chat("\"stream\": true");
  event(4, RequestBegan{0});
  desk_.fail_all(openai::ApiError(503, "the server ends"));
  EXPECT_EQ(ended->events().back()["error"]["message"], "the server ends");
  EXPECT_EQ(desk_.num_open(), 0);
}

TEST_F(AnswerDeskTest, EventsOutOfOrderFailAnAnswerAndNotTheServer) {
  const auto exchange = chat("\"seed\": 1");
  testing::internal::CaptureStderr();
  draw(1, "a");
  testing::internal::GetCapturedStderr();
  EXPECT_EQ(exchange->status_, 500);
  EXPECT_EQ(desk_.num_open(), 0);
}

}  // namespace
}  // namespace longgen
