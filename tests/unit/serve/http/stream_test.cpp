// stream_test.cpp: streams of events, readers that are slow, clients that go, servers that end.
#include <atomic>
#include <optional>
#include <vector>

#include "tests/unit/error_text.h"
#include "tests/unit/serve/http/client.h"

namespace longgen::http {
namespace {

constexpr auto kMoment = std::chrono::milliseconds(30);

std::string event(int number) { return "data: " + std::to_string(number) + "\n\n"; }

TEST(Stream, SendsWholeEventsInChunksAsTheyCome) {
  Desk desk;
  Server server(any_port(), desk.handler());
  Client client(server.port());
  client.send(get("/stream"));
  const auto exchange = desk.next();
  exchange->begin_stream({{"X-Request-Id", "1"}});
  const std::string head = client.read_to("\r\n\r\n");
  EXPECT_EQ(head.find("HTTP/1.1 200 OK\r\n"), 0u);
  EXPECT_TRUE(
      contains(head,
               "Content-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
               "X-Accel-Buffering: no\r\nTransfer-Encoding: chunked\r\nX-Request-Id: 1\r\n"));
  std::string chunk;
  for (int i = 0; i < 100; ++i) {
    exchange->send(event(i));
    ASSERT_TRUE(client.read_chunk(chunk));
    ASSERT_EQ(chunk, event(i));
  }
  exchange->end_stream();
  ASSERT_TRUE(client.read_chunk(chunk));
  EXPECT_EQ(chunk, "");
  EXPECT_EQ(exchange->unwritten_bytes(), 0);
  EXPECT_EQ(client.ask(get("/echo")).body, "GET /echo  ") << "the connection goes on";
}

TEST(Stream, IsPlainForOldClientsAndEmptyForHead) {
  Desk desk;
  Server server(any_port(), desk.handler());
  Client old(server.port());
  old.send("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  for (const auto exchange = desk.next(); const int i : {1, 2, 3}) {
    if (i == 1) exchange->begin_stream();
    exchange->send(event(i));
    if (i == 3) exchange->end_stream();
  }
  const Answer answer = old.read_answer();
  EXPECT_TRUE(contains(answer.head, "Connection: close\r\n"));
  EXPECT_EQ(answer.body, event(1) + event(2) + event(3));
  Client client(server.port());
  client.send("HEAD /stream HTTP/1.1\r\nHost: x\r\n\r\n");
  const auto exchange = desk.next();
  exchange->begin_stream();
  exchange->send(event(1));
  EXPECT_TRUE(contains(client.read_answer(false).head, "text/event-stream"));
  EXPECT_TRUE(eventually([&] { return exchange->unwritten_bytes() == 0; }));
  exchange->end_stream();
  EXPECT_EQ(client.ask(get("/echo")).body, "GET /echo  ");
}

TEST(Stream, IsKeptAwakeByComments) {
  ServerOptions options = any_port();
  options.keep_awake_seconds = 0.03;
  Desk desk;
  Server server(options, desk.handler());
  Client client(server.port());
  client.send(get("/stream"));
  const auto exchange = desk.next();
  std::this_thread::sleep_for(kMoment * 2);  // nothing is sent before the stream begins
  exchange->begin_stream();
  client.read_to("\r\n\r\n");
  std::string chunk;
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(client.read_chunk(chunk));
    ASSERT_EQ(chunk, ": keep-alive\n\n");
  }
  exchange->send(event(1));
  while (chunk == ": keep-alive\n\n") ASSERT_TRUE(client.read_chunk(chunk));
  EXPECT_EQ(chunk, event(1));
  exchange->end_stream();
}

/// Counts what an exchange's watcher is told.
struct Told {
  std::atomic<int> gone = 0, full = 0, drained = 0;

  Exchange::Watcher watcher() {
    return {.on_gone = [this] { ++gone; },
            .on_full = [this] { ++full; },
            .on_drained = [this] { ++drained; }};
  }
};

TEST(Stream, TellsOfSlowReaders) {
  ServerOptions options = any_port();
  options.limits.high_mark_bytes = 1 << 20;
  options.limits.low_mark_bytes = 1 << 18;
  Desk desk;
  Server server(options, desk.handler());
  Client client(server.port(), 4096);
  client.send(get("/stream"));
  const auto exchange = desk.next();
  Told told;
  exchange->watch(told.watcher());
  exchange->begin_stream();
  const std::string block(10000, 'x');
  int64_t sent = 0;
  std::string chunk, text;
  client.read_to("\r\n\r\n");
  for (int round = 1; round <= 2; ++round) {
    while (told.full < round && sent < (64 << 20)) {
      exchange->send(block);
      sent += static_cast<int64_t>(block.size());
      if (sent % 1000000 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(told.full, round);
    EXPECT_EQ(told.drained, round - 1);
    EXPECT_GT(exchange->unwritten_bytes(), 1 << 20);
    while (told.drained < round) {
      ASSERT_TRUE(client.read_chunk(chunk));
      text += chunk;
    }
    EXPECT_LT(exchange->unwritten_bytes(), 1 << 18);
  }
  exchange->end_stream();
  while (client.read_chunk(chunk) && !chunk.empty()) text += chunk;
  EXPECT_EQ(static_cast<int64_t>(text.size()), sent);
  EXPECT_EQ(text.find_first_not_of('x'), std::string::npos);
  EXPECT_EQ(told.gone, 0);
}

TEST(Stream, EndsWhereAReaderTakesNothing) {
  ServerOptions options = any_port();
  options.limits.write_seconds = 0.1;
  Desk desk;
  Server server(options, desk.handler());
  Client client(server.port(), 4096);
  client.send(get("/stream"));
  const auto exchange = desk.next();
  Told told;
  exchange->watch(told.watcher());
  exchange->begin_stream();
  exchange->send(std::string(32 << 20, 'x'));
  EXPECT_TRUE(eventually([&] { return told.gone == 1; }));
  EXPECT_TRUE(exchange->is_gone());
  EXPECT_EQ(exchange->unwritten_bytes(), 0);
  exchange->send("more");
  exchange->end_stream();
  EXPECT_TRUE(eventually([&] { return server.num_connections() == 0; }));
  expect_service(server);
}

TEST(Gone, IsToldAtOnceInEveryPhase) {
  Desk desk;
  Server server(any_port(), desk.handler());
  const std::vector<void (Client::*)()> ways = {&Client::close, &Client::reset,
                                                &Client::half_close};
  for (const bool is_pipelining : {false, true}) {
    for (const bool has_begun : {false, true}) {
      for (const auto way : ways) {
        Client client(server.port());
        client.send(get("/stream") + (is_pipelining ? get("/stream") + "GET /h" : ""));
        const auto exchange = desk.next();
        Told told;
        exchange->watch(told.watcher());
        if (has_begun) exchange->begin_stream();
        if (has_begun) client.read_to("\r\n\r\n");
        EXPECT_FALSE(exchange->is_gone());
        (client.*way)();
        EXPECT_TRUE(eventually([&] { return told.gone == 1; }));
        EXPECT_TRUE(exchange->is_gone());
        // Who watches late is told, too; what is said now is said to nobody.
        exchange->watch(told.watcher());
        EXPECT_EQ(told.gone, 2);
        exchange->answer(200, "", "late");
        exchange->note("late", 1);
      }
    }
  }
  EXPECT_TRUE(eventually([&] { return server.num_connections() == 0; }));
  expect_service(server);
}

TEST(Gone, IsNotToldOfAnswersThatHaveEnded) {
  Desk desk;
  Server server(any_port(), desk.handler());
  Told told;
  {
    Client client(server.port());
    client.send(get("/a"));
    const auto exchange = desk.next();
    exchange->watch(told.watcher());
    exchange->answer(200, "", "all");
    EXPECT_EQ(client.read_answer().body, "all");
    EXPECT_FALSE(exchange->is_gone());
  }
  EXPECT_TRUE(eventually([&] { return server.num_connections() == 0; }));
  EXPECT_EQ(told.gone, 0);
}

TEST(Stop, ClosesIdleConnectionsAndLetsAnswersEnd) {
  Desk desk;
  Server server(any_port(), desk.handler());
  const int port = server.port();
  Client idle(port), silent(port), busy(port), streaming(port);
  EXPECT_EQ(idle.ask(get("/echo")).status, 200);
  busy.send(get("/a"));
  const auto first = desk.next();
  streaming.send(get("/b"));
  const auto second = desk.next();
  second->begin_stream();
  streaming.read_to("\r\n\r\n");
  std::thread stopping([&] { server.stop(10); });
  EXPECT_TRUE(idle.is_closed());
  EXPECT_TRUE(silent.is_closed());
  EXPECT_FALSE(Client(port).is_connected());
  first->answer(200, "", "done");
  const Answer answer = busy.read_answer();
  EXPECT_EQ(answer.body, "done");
  EXPECT_TRUE(contains(answer.head, "Connection: close\r\n"));
  second->send(event(1));
  second->end_stream();
  EXPECT_EQ(streaming.read_all(), "9\r\n" + event(1) + "\r\n0\r\n\r\n");
  busy.close();
  streaming.close();
  stopping.join();
  EXPECT_EQ(server.num_connections(), 0);
}

TEST(Stop, CutsOffWhatDoesNotEndInTime) {
  std::optional<Desk> desk(std::in_place);
  std::optional<Server> server(std::in_place, any_port(), desk->handler());
  Client client(server->port());
  client.send(get("/a"));
  const auto exchange = desk->next();
  Told told;
  exchange->watch(told.watcher());
  const auto begin = std::chrono::steady_clock::now();
  server->stop(0.05);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
  EXPECT_EQ(told.gone, 1);
  EXPECT_TRUE(client.is_closed());
  server->stop(0);
  server.reset();
  // An exchange may outlive its server.
  exchange->begin_stream();
  exchange->send("x");
  exchange->watch(told.watcher());
  EXPECT_EQ(told.gone, 2);
}

TEST(Stop, MayComeWhileEverythingGoesOn) {
  for (int round = 0; round < 20; ++round) {
    ServerOptions options = any_port();
    options.io_threads = 2;
    options.limits.linger_seconds = 0.01;
    Server server(options, echo);
    std::atomic<bool> is_over = false;
    std::vector<std::thread> clients;
    for (int i = 0; i < 3; ++i) {
      clients.emplace_back([&] {
        while (!is_over) Client(server.port()).ask(get("/echo"));
      });
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    server.stop(round % 2 ? 0 : 1);
    is_over = true;
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(server.num_connections(), 0);
  }
}

TEST(Exchange, MayBeUsedFromManyThreads) {
  ServerOptions options = any_port();
  options.io_threads = 2;
  Desk desk;
  Server server(options, desk.handler());
  constexpr int kClients = 16, kEvents = 200;
  std::vector<std::thread> threads;
  std::atomic<int> num_whole = 0;
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([&, i] {
      Client client(server.port());
      client.send(get("/stream"));
      if (i % 4 == 0) return;  // goes at once
      const Answer answer = client.read_answer();
      std::string expected;
      for (int number = 0; number < kEvents; ++number) expected += event(number);
      if (answer.body == expected) ++num_whole;
    });
  }
  for (int i = 0; i < kClients; ++i) {
    threads.emplace_back([exchange = desk.next()] {
      const auto told = std::make_shared<Told>();
      exchange->watch({.on_gone = [told] { ++told->gone; }, .on_full = [told] { ++told->full; }});
      exchange->begin_stream();
      for (int number = 0; number < kEvents; ++number) {
        exchange->send(event(number));
        exchange->note("events", exchange->is_gone() ? 0 : exchange->unwritten_bytes());
      }
      exchange->end_stream();
      EXPECT_EQ(told->full, 0);
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(num_whole, kClients - kClients / 4);
}

}  // namespace
}  // namespace longgen::http
