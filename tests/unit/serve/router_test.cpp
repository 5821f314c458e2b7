#include "longgen/serve/router.h"

#include <gtest/gtest.h>

#include "longgen/serve/server_state.h"
#include "tests/unit/error_text.h"
#include "tests/unit/serve/fake_exchange.h"
#include "tests/unit/serve/small_model.h"

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
  router.add("GET", "/page", handler("P"), /*is_listed=*/false);
  EXPECT_EQ(ask(router, "GET", "/a")->body_, "A");
  EXPECT_EQ(ask(router, "HEAD", "/a")->body_, "A");
  EXPECT_EQ(ask(router, "POST", "/b")->body_, "B");
  EXPECT_EQ(ask(router, "GET", "/page")->body_, "P");
  EXPECT_EQ(ask(router, "POST", "/page")->status_, 405);
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

TEST(ServerState, NamesRequestsAndPages) {
  EngineState engine;
  engine.phase = EnginePhase::ready;
  engine.running.push_back({7, 100, 64, 80, 0, 1.5, 20, 12, false});
  engine.running.push_back({8, 100, 0, 104, 5, 0, 20, 12, false});
  engine.running.push_back({9, 100, 0, 104, 5, 0, 20, 12, true});
  engine.waiting.push_back({10, 5000, 64, 2.5});
  engine.own_kinds.full = 3;
  engine.cached_kinds.window = 4;
  engine.full_bytes = 77;
  ServedModel model = small_model();
  model.context = 4096;
  model.chat_template.reset();
  model.layers = {};
  const auto json_of = [&] {
    return OrderedJson::parse(state_json(model, engine, {.num_answers = 2}));
  };
  const OrderedJson json = json_of();
  EXPECT_EQ(json["status"], "ok");
  EXPECT_EQ(json["context"], 4096);
  EXPECT_EQ(json["has_chat_template"], false);
  EXPECT_EQ(json["answers"], 2);
  const OrderedJson& each = json["requests"]["each"];
  EXPECT_EQ(each[0]["prefill_seconds_left"], 1.5);
  EXPECT_EQ(each[0]["max_new_tokens"], 20);
  EXPECT_EQ(each[0]["reserved_pages"], 12);
  EXPECT_EQ(each[0]["phase"], "prefill");
  EXPECT_EQ(each[1]["phase"], "decode");
  EXPECT_EQ(each[2]["phase"], "paused");
  EXPECT_EQ(json["requests"]["next"][0].dump(),
            R"({"id":10,"prompt_tokens":5000,"cached_tokens":64,"prefill_seconds_left":2.5})");
  EXPECT_EQ(json["pages"]["own_by_kind"]["full"], 3);
  EXPECT_EQ(json["pages"]["cached_by_kind"]["window"], 4);
  EXPECT_EQ(json["pages"]["read_bytes_if_full"], 77);
  EXPECT_EQ(json["layers"], OrderedJson::array());
  model.layers = LayerPlan::hybrid(5, {1, 2}, Pattern::parse("sink=1,window=16,stride=8"))
                     .with_windows({0}, 4096);
  EXPECT_EQ(json_of()["layers"].dump(),
            R"([{"layers":2,"kind":"full"},)"
            R"({"layers":2,"kind":"sparse","sink_blocks":1,"window_blocks":16,"stride_blocks":8},)"
            R"({"layers":1,"kind":"window","window_tokens":4096}])");
}

}  // namespace
}  // namespace longgen
