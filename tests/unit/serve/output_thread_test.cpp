// output_test.cpp: the threads between connections and the engine.
#include "longgen/serve/output_thread.h"

#include <gtest/gtest.h>

#include <future>

#include "longgen/serve/request_planner.h"
#include "longgen/serve/worker_pool.h"
#include "tests/unit/serve/fake_exchange.h"
#include "tests/unit/serve/small_model.h"

namespace longgen {
namespace {

class OutputTest : public ::testing::Test {
 protected:
  std::shared_ptr<FakeExchange> begin() {
    auto exchange = std::make_shared<FakeExchange>();
    output_.begin(planner_.completion(R"({"prompt": "a", "stream": true})", ""), exchange);
    return exchange;
  }
  EngineMessage next_told() {
    told_.wait(5.0);
    EngineMessage message = told_.take().at(0);
    return message;
  }

  ServedModel model_ = small_model();
  RequestPlanner planner_{model_, [](const Request&) { return true; }};
  Mailbox<EngineMessage> told_;
  OutputThread output_{model_, [this](EngineMessage message) { told_.post(std::move(message)); }};
};

TEST_F(OutputTest, WhatConnectionsTellReachesTheEngine) {
  const auto exchange = begin();
  EXPECT_EQ(output_.num_open(), 1);
  const RequestId id = std::get<Submit>(next_told()).request.id;
  exchange->watcher_.on_full();
  EXPECT_EQ(std::get<Pause>(next_told()).request, id);
  exchange->watcher_.on_drained();
  EXPECT_EQ(std::get<Resume>(next_told()).request, id);
  exchange->watcher_.on_gone();
  EXPECT_EQ(std::get<Cancel>(next_told()).request, id);
  while (output_.num_open() > 0) std::this_thread::yield();
}

TEST_F(OutputTest, AWatcherMayOutliveIt) {
  http::Exchange::Watcher watcher;
  {
    OutputThread output(model_, [this](EngineMessage message) { told_.post(std::move(message)); });
    auto exchange = std::make_shared<FakeExchange>();
    output.begin(planner_.completion(R"({"prompt": "a"})", ""), exchange);
    next_told();
    watcher = exchange->watcher_;
  }
  watcher.on_gone();
}

TEST(WorkerPool, HasABound) {
  std::promise<void> go;
  const std::shared_future<void> gate = go.get_future().share();
  std::promise<void> began;
  std::atomic<int> num_done = 0;
  WorkerPool pool(1, 2);
  ASSERT_TRUE(pool.add([&] {
    began.set_value();
    gate.wait();
    ++num_done;
  }));
  began.get_future().wait();
  EXPECT_TRUE(pool.add([&] { ++num_done; }));
  EXPECT_TRUE(pool.add([&] { ++num_done; }));
  EXPECT_FALSE(pool.add([&] { ++num_done; })) << "two wait already";
  go.set_value();
  while (num_done < 3) std::this_thread::yield();
}

}  // namespace
}  // namespace longgen
