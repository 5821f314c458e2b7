// hostile_test.cpp: clients that are slow, large, broken or gone. After each of them a proper one
// is served.
#include <filesystem>
#include <random>
#include <vector>

#include "tests/unit/error_text.h"
#include "tests/unit/serve/http/client.h"

namespace longgen::http {
namespace {

using namespace std::string_literals;

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point begin) {
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

/// Sends the bytes and expects an error of OpenAI's form, a closed connection, and service for
/// others.
void expect_refused(const Server& server, const std::string& bytes, int status,
                    const std::string& code) {
  Client client(server.port());
  const Answer answer = client.ask(bytes);
  EXPECT_EQ(answer.status, status) << bytes.substr(0, 200);
  EXPECT_EQ(answer.body.find("{\"error\":{\"message\":\""), 0u) << answer.body;
  EXPECT_TRUE(contains(answer.body, "\"code\":\"" + code + "\""));
  EXPECT_TRUE(contains(answer.head, "\r\nConnection: close\r\n"));
  EXPECT_TRUE(client.is_closed());
  expect_service(server);
}

TEST(HostileClient, IsToldWhatItSentWrong) {
  Server server(any_port(), echo);
  const std::string head = "POST /a HTTP/1.1\r\nHost: x\r\n";
  for (const std::string& bytes :
       {"garbage\r\n\r\n"s, "GET /\r\n\r\n"s, "\0\0\0\0"s,
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s,
        head + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /",
        head + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", head + "A: b\0c\r\n\r\n"s}) {
    expect_refused(server, bytes, 400, "invalid_http_request");
  }
  expect_refused(server, head + "Expect: magic\r\n\r\n", 417, "invalid_http_request");
}

TEST(HostileClient, IsToldWhatIsTooLarge) {
  ServerOptions options = any_port();
  options.limits.body_bytes = 1 << 20;
  Server server(options, echo);
  expect_refused(server, get("/a", "A: " + std::string(17 << 10, 'a') + "\r\n"), 431,
                 "headers_too_large");
  // An answer comes though the client would go on sending, and none of the body is waited for.
  expect_refused(server, "GET /" + std::string(1 << 20, 'a'), 431, "headers_too_large");
  expect_refused(server, "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1048577\r\n\r\n", 413,
                 "body_too_large");
  expect_refused(server, post("/a", std::string(8 << 20, 'x')), 413, "body_too_large");
  const std::string chunked = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::string chunks;
  for (int i = 0; i < 17; ++i) chunks += "10000\r\n" + std::string(1 << 16, 'x') + "\r\n";
  expect_refused(server, chunked + chunks, 413, "body_too_large");
  expect_refused(server, chunked + "1;" + std::string(1 << 16, 'x'), 400, "invalid_http_request");
}

TEST(HostileClient, MayNotFillTheMemoryWithBodies) {
  ServerOptions options = any_port();
  options.limits.all_bodies_bytes = 1 << 20;
  Desk desk;
  Server server(options, desk.handler());
  Client waiting(server.port());
  waiting.send(post("/a", std::string(700 << 10, 'x')));
  const auto exchange = desk.next();
  expect_refused(server, post("/a", std::string(700 << 10, 'x')), 503, "server_busy");
  exchange->answer(200, "", "done");
  EXPECT_EQ(waiting.read_answer().body, "done");
  // What was held is held no more, also of those that were refused or have gone.
  for (int i = 0; i < 3; ++i) {
    Client gone(server.port());
    gone.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n");
    gone.send(std::string(700 << 10, 'x'));
    gone.reset();
    EXPECT_TRUE(eventually([&] { return server.num_connections() == 1; }));
  }
  EXPECT_EQ(waiting.ask(post("/echo", std::string(1 << 20, 'x'))).status, 200);
}

TEST(SlowClient, IsClosedInTime) {
  ServerOptions options = any_port();
  options.limits.header_seconds = 0.15;
  options.limits.body_seconds = 0.15;
  options.limits.body_bytes_per_second = 1000;
  options.limits.idle_seconds = 0.15;
  options.limits.linger_seconds = 0.1;
  Server server(options, echo);
  const std::string body = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nab";
  struct Case {
    std::string begin, drop;  ///< sent at once; sent again and again
    int status;               ///< 0: it is closed without a word
  };
  for (const Case& c : std::vector<Case>{{"", "", 0},
                                         {"GET / HTTP/1.1\r\n", "A: b\r\n", 408},
                                         {"G", "E", 408},
                                         {"\r\n", "", 408},
                                         {body, "", 408},
                                         {body, "x", 408},
                                         {get("/a"), "", 200}}) {
    const auto begin = Clock::now();
    Client client(server.port());
    client.send(c.begin);
    std::thread dripping([&] {
      for (int i = 0; i < 30 && !c.drop.empty(); ++i) {
        client.send(c.drop);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    });
    const Answer answer = client.read_answer();
    EXPECT_EQ(answer.status, c.status) << c.begin;
    EXPECT_TRUE(client.is_closed());
    EXPECT_LT(seconds_since(begin), 5);
    dripping.join();
    EXPECT_EQ(answer.body.find("\"code\":\"request_timeout\"") != std::string::npos,
              c.status == 408);
    expect_service(server);
  }
}

TEST(SlowClient, MayTakeLongForALongBody) {
  ServerOptions options = any_port();
  options.limits.body_seconds = 0.1;
  options.limits.body_bytes_per_second = 1000;
  Server server(options, echo);
  Client client(server.port());
  client.send("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 40000\r\n\r\n");
  for (int i = 0; i < 40; ++i) {
    client.send(std::string(1000, 'x'));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(client.read_answer().body.size(), 40009u);
}

// In each phase of a request, in each way: closed, without a word, and with its own side alone.
TEST(GoneClient, LeavesNothingBehind) {
  Desk desk;
  Server server(any_port(), desk.handler());
  const std::string request =
      "POST /echo HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc";
  for (size_t size = 0; size <= request.size(); ++size) {
    for (int way = 0; way < 3; ++way) {
      Client client(server.port());
      client.send(request.substr(0, size));
      if (way == 0) client.close();
      if (way == 1) client.reset();
      if (way == 2) {
        client.half_close();
        const std::string answer = client.read_all();
        if (size > 0 && size < request.size()) {
          ASSERT_TRUE(contains(answer, "HTTP/1.1 400 ")) << size;
          ASSERT_TRUE(contains(answer, "was closed in the middle of it"));
        }
      }
    }
  }
  EXPECT_TRUE(eventually([&] { return server.num_connections() == 0; }));
  expect_service(server);
}

TEST(HostileClient, SendsGarbageWithoutEffect) {
  ServerOptions options = any_port();
  options.limits.header_seconds = options.limits.body_seconds = 0.2;
  options.limits.linger_seconds = 0.05;
  Server server(options, echo);
  const auto num_files = [] {
    const std::filesystem::directory_iterator files("/proc/self/fd"), end;
    return std::distance(begin(files), end);
  };
  const auto before = num_files();
  std::mt19937_64 random(2);
  for (int round = 0; round < 300; ++round) {
    std::string bytes = get("/a") + post("/b", "body") + get("/c", "Connection: close\r\n");
    for (int edits = 0; edits < round % 5; ++edits) {
      bytes[random() % bytes.size()] = static_cast<char>(random());
      bytes.insert(random() % bytes.size(), 1, "\r\n :0"[random() % 5]);
    }
    Client client(server.port());
    for (size_t at = 0; at < bytes.size();) {
      const size_t size = 1 + random() % bytes.size();
      client.send(bytes.substr(at, size));
      at += size;
    }
    if (round % 3 == 0) client.reset();
    if (round % 3 == 1) client.half_close();
    if (round % 3 == 1) client.read_all();
  }
  EXPECT_TRUE(eventually([&] { return server.num_connections() == 0; }));
  EXPECT_TRUE(eventually([&] { return num_files() == before; }));
  expect_service(server);
}

}  // namespace
}  // namespace longgen::http
