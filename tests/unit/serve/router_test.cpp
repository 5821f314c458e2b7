#include "longgen/serve/router.h"

#include <gtest/gtest.h>

#include "longgen/serve/server_state.h"
#include "tests/unit/error_text.h"
#include "tests/unit/serve/fake_exchange.h"

namespace longgen {
namespace {

std::shared_ptr<FakeExchange> ask(const Router& router, const std::string& method,
                                  const std::string& path) {
  auto exchange = std::make_shared<FakeExchange>();
  http::HttpRequest request;
  request.method = method;
  request.path = path;
  router(request, exchange);
  return exchange;
}

TEST(Router, SaysWhatThereIs) {
  Router router;
  const auto handler = [](const std::string& text) -> http::Handler {
    return [text](const http::HttpRequest&, const std::shared_ptr<http::Exchange>& exchange) {
      exchange->answer(200, "text/plain", text);
    };
  };
  router.add("GET", "/a", handler("A"));
  router.add("POST", "/b", handler("B"));
  EXPECT_EQ(ask(router, "GET", "/a")->body_, "A");
  EXPECT_EQ(ask(router, "HEAD", "/a")->body_, "A");
  EXPECT_EQ(ask(router, "POST", "/b")->body_, "B");
  const auto nowhere = ask(router, "GET", "/c");
  EXPECT_EQ(nowhere->status_, 404);
  EXPECT_EQ(nowhere->json()["error"]["message"], "there is no /c here; there is /a, /b.");
  const auto other = ask(router, "DELETE", "/b");
  EXPECT_EQ(other->status_, 405);
  EXPECT_EQ(other->headers_, (http::Headers{{"Allow", "POST"}}));
  EXPECT_LT(ask(router, "GET", "/" + std::string(10000, 'x'))->body_.size(), 300u);
}

TEST(ServerState, HealthSaysWhyNot) {
  const auto health = [](EnginePhase phase, bool is_draining) {
    const HealthAnswer answer = health_answer({.phase = phase, .failure = "it broke"}, is_draining);
    return std::to_string(answer.status) + " " + answer.body;
  };
  EXPECT_EQ(health(EnginePhase::ready, false), R"(200 {"status":"ok"})");
  EXPECT_EQ(health(EnginePhase::ready, true), R"(503 {"status":"draining"})");
  EXPECT_EQ(health(EnginePhase::calibrating, false), R"(503 {"status":"starting"})");
  EXPECT_EQ(health(EnginePhase::failed, true), R"(503 {"status":"failed","message":"it broke"})");
}

TEST(ServerState, MetricsAreTextForPrometheus) {
  const std::string text =
      metrics_text("m", {.num_running = 3, .capacity = 8, .in_use = 2}, RequestMetrics());
  for (const char* line : {"vllm:num_requests_running{model_name=\"m\"} 3\n",
                           "vllm:kv_cache_usage_perc{model_name=\"m\"} 0.25\n",
                           "# TYPE vllm:time_to_first_token_seconds histogram\n"}) {
    EXPECT_TRUE(contains(text, line));
  }
}

TEST(ServerState, NamesRunningRequestsAndPages) {
  EngineState engine;
  engine.phase = EnginePhase::ready;
  engine.running.push_back({7, 100, 64, 80, 0, 1.5});
  engine.cached_kinds.window = 4;
  const OrderedJson json = OrderedJson::parse(state_json("m", engine, {.num_answers = 2}));
  EXPECT_EQ(json["status"], "ok");
  EXPECT_EQ(json["answers"], 2);
  EXPECT_EQ(json["requests"]["each"][0]["prefill_seconds_left"], 1.5);
  EXPECT_EQ(json["pages"]["cached_by_kind"]["window"], 4);
}

}  // namespace
}  // namespace longgen
