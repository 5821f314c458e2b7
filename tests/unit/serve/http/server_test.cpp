// server_test.cpp: clients that ask properly.
#include "longgen/serve/http/server.h"

#include <fcntl.h>
#include <sys/resource.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <vector>

#include "longgen/serve/openai/api_error.h"
#include "tests/unit/error_text.h"
#include "tests/unit/serve/http/client.h"

namespace longgen::http {
namespace {

TEST(Server, AnswersAThousandRequestsOfAConnection) {
  Server server(any_port(), echo);
  Client client(server.port());
  for (int i = 0; i < 1000; ++i) {
    const std::string body = std::to_string(i);
    const Answer answer = client.ask(i % 2 ? post("/a?b=c", body) : get("/" + body));
    ASSERT_EQ(answer.status, 200);
    ASSERT_EQ(answer.body, i % 2 ? "POST /a b=c " + body : "GET /" + body + "  ");
  }
  EXPECT_EQ(server.num_connections(), 1);
}

TEST(Server, WritesWholeHeads) {
  Server server(any_port(), [](const HttpRequest&, const std::shared_ptr<Exchange>& exchange) {
    exchange->answer(405, "application/json", "{}", {{"Allow", "GET\r\nX-Evil: 1"}});
  });
  Client client(server.port());
  const Answer answer = client.ask("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(answer.head.find("HTTP/1.1 405 Method Not Allowed\r\nDate: "), 0u);
  EXPECT_TRUE(contains(answer.head,
                       " GMT\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
                       "Allow: GET  X-Evil: 1\r\n\r\n"));
  EXPECT_EQ(answer.body, "{}");
}

TEST(Server, PassesOnWhatARequestSays) {
  HttpRequest seen;
  Server server(any_port(),
                [&seen](HttpRequest request, const std::shared_ptr<Exchange>& exchange) {
                  seen = std::move(request);
                  exchange->answer(200, "text/plain", "");
                });
  Client client(server.port());
  client.ask(get("http://host:1/v1/models/a%2Fb?x=%20",
                 "TraceParent: 00-ab\r\nUser-Agent: me\r\n"
                 "If-None-Match: \"a\"\r\nif-none-match: \"b\"\r\n"));
  EXPECT_EQ(seen.method, "GET");
  EXPECT_EQ(seen.path, "/v1/models/a/b");
  EXPECT_EQ(seen.query, "x=%20");
  EXPECT_EQ(seen.traceparent, "00-ab");
  EXPECT_EQ(seen.user_agent, "me");
  EXPECT_EQ(seen.if_none_match, "\"a\", \"b\"");
  EXPECT_EQ(seen.key_name, "");
  EXPECT_EQ(seen.client.find("127.0.0.1:"), 0u);
}

TEST(Server, AnswersHeadWithoutABody) {
  Server server(any_port(), echo);
  Client client(server.port());
  client.send("HEAD /a HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_TRUE(contains(client.read_answer(false).head, "Content-Length: 9\r\n"));
  EXPECT_EQ(client.ask(get("/b")).body, "GET /b  ");
}

TEST(Server, KeepsConnectionsAsTheClientWants) {
  Server server(any_port(), echo);
  for (const std::string request :
       {"GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "GET /a HTTP/1.0\r\n\r\n"}) {
    Client client(server.port());
    EXPECT_TRUE(contains(client.ask(request).head, "\r\nConnection: close\r\n"));
    EXPECT_TRUE(client.is_closed());
  }
  Client old(server.port());
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(contains(old.ask("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").head,
                         "\r\nConnection: keep-alive\r\n"));
  }
}

TEST(Server, ReadsBodiesInChunksAndAfterContinue) {
  Server server(any_port(), echo);
  Client client(server.port());
  const std::string head = "POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(
      client.ask(head + "3\r\nabc\r\n0A;x=y\r\n0123456789\r\n0\r\nAuthorization: x\r\n\r\n").body,
      "POST /a  abc0123456789");
  client.send("POST /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(client.read_to("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(client.ask("abc").body, "POST /a  abc");
  const std::string large(8 << 20, 'x');
  EXPECT_EQ(client.ask(post("/a", large)).body.size(), large.size() + 9);
}

TEST(Server, TakesPipelinedRequestsInTurn) {
  Desk desk;
  Server server(any_port(), desk.handler());
  Client client(server.port());
  client.send(get("/1") + post("/2", "b") + get("/echo"));
  const auto first = desk.next();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  first->answer(200, "", "one");
  EXPECT_EQ(client.read_answer().body, "one");
  desk.next()->answer(200, "", "two");
  EXPECT_EQ(client.read_answer().body, "two");
  EXPECT_EQ(client.read_answer().body, "GET /echo  ");
  // More than waits in memory at once.
  std::string many;
  for (int i = 0; i < 5000; ++i) many += get("/echo?" + std::to_string(i));
  std::thread sender([&] { client.send(many); });
  for (int i = 0; i < 5000; ++i) {
    ASSERT_EQ(client.read_answer().body, "GET /echo " + std::to_string(i) + " ");
  }
  sender.join();
}

TEST(Server, ServesManyConnectionsOnTwoThreads) {
  ServerOptions options = any_port();
  options.io_threads = 2;
  Server server(options, echo);
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < 200; ++i) clients.push_back(std::make_unique<Client>(server.port()));
  for (int round = 0; round < 3; ++round) {
    for (const auto& client : clients) client->send(post("/a", std::to_string(round)));
    for (const auto& client : clients) {
      ASSERT_EQ(client->read_answer().body, "POST /a  " + std::to_string(round));
    }
  }
  EXPECT_EQ(server.num_connections(), 200);
  clients.clear();
  EXPECT_TRUE(eventually([&] { return server.num_connections() == 0; }));
}

TEST(Server, SaysThatItHasNoRoomForMoreConnections) {
  ServerOptions options = any_port();
  options.limits.connections = 2;
  options.limits.linger_seconds = 0.1;
  Server server(options, echo);
  Client first(server.port()), second(server.port());
  EXPECT_EQ(first.ask(get("/a")).status, 200);
  EXPECT_EQ(second.ask(get("/a")).status, 200);
  for (int i = 0; i < 100; ++i) {
    Client third(server.port());
    const Answer answer = third.ask(get("/a"));
    ASSERT_EQ(answer.status, 503);
    ASSERT_TRUE(contains(answer.body, "\"code\":\"server_busy\""));
    ASSERT_TRUE(contains(answer.head, "Retry-After: 1\r\n"));
    ASSERT_TRUE(third.is_closed());
  }
  EXPECT_EQ(first.ask(get("/a")).status, 200);
  second.close();
  EXPECT_TRUE(eventually([&] { return server.num_connections() == 1; }));
  expect_service(server);
}

TEST(Server, AsksForKeys) {
  ServerOptions options = any_port();
  options.keys.add("alice", "sk-secret");
  options.keys.add("bob", "sk-other");
  options.open_paths = {"/health"};
  Server server(options, [](HttpRequest request, const std::shared_ptr<Exchange>& exchange) {
    exchange->answer(200, "text/plain", request.key_name);
  });
  for (const std::string headers :
       {"", "Authorization: Bearer sk-secre\r\n", "Authorization: sk-secret\r\n",
        "Authorization: Basic sk-secret\r\n", "Authorization: Bearer\r\n"}) {
    Client client(server.port());
    // The body is not waited for.
    const Answer answer = client.ask("POST /v1/x HTTP/1.1\r\nHost: x\r\n" + headers +
                                     "Expect: 100-continue\r\nContent-Length: 1000000\r\n\r\n");
    EXPECT_EQ(answer.status, 401) << headers;
    EXPECT_TRUE(contains(answer.head, "\r\nWWW-Authenticate: Bearer\r\n"));
    EXPECT_TRUE(contains(answer.body, "\"type\":\"authentication_error\""));
    EXPECT_TRUE(contains(answer.body, "\"code\":\"invalid_api_key\""));
    EXPECT_FALSE(contains(answer.body, "secre"));
    EXPECT_TRUE(client.is_closed());
  }
  Client client(server.port());
  EXPECT_EQ(client.ask(get("/v1/x", "authorization: bearer  sk-secret\r\n")).body, "alice");
  EXPECT_EQ(client.ask(get("/v1/x", "Authorization: Bearer sk-other\r\n")).body, "bob");
  EXPECT_EQ(client.ask(get("/health")).status, 200);
}

TEST(Server, ListensOnIpv6AndSaysWhereItCannotListen) {
  ServerOptions options = any_port();
  const Server server(options, echo);
  EXPECT_EQ(server.address(), "127.0.0.1:" + std::to_string(server.port()));
  options.port = server.port();
  EXPECT_ERROR(Server(options, echo),
               "port " + std::to_string(server.port()) +
                   " of 127.0.0.1: another program has it. Stop that one, or choose another port; "
                   "port 0 takes a free one.");
  options.port = 70000;
  EXPECT_ERROR(Server(options, echo), "port: expected 0 to 65535, found 70000.");
  options.port = 0;
  options.host = "localhost";
  EXPECT_EQ(Server(options, echo).address().find("127.0.0.1:"), 0u);
  options.host = "192.0.2.1";
  EXPECT_ERROR(Server(options, echo), "port 0 of 192.0.2.1: this is no address of this machine.");
  options.host = "no host";
  EXPECT_ERROR(Server(options, echo), "host \"no host\": expected an address or a name of");
  options.host = "";
  EXPECT_ERROR(Server(options, echo), "host: expected an address such as 127.0.0.1");
  if (!std::ifstream("/proc/net/if_inet6")) GTEST_SKIP() << "this machine has no IPv6";
  options.host = "::1";
  const Server ipv6(options, echo);
  EXPECT_EQ(ipv6.address(), "[::1]:" + std::to_string(ipv6.port()));
  // "::" serves IPv4 as well.
  options.host = "::";
  const Server both(options, echo);
  expect_service(both);
}

TEST(Server, AnswersForHandlersThatDoNot) {
  Server server(any_port(), [](HttpRequest request, const std::shared_ptr<Exchange>& exchange) {
    if (request.path == "/api") throw openai::ApiError(422, "no.", "field", "code");
    if (request.path == "/error") throw std::runtime_error("broken");
    if (request.path == "/stream") {
      exchange->begin_stream();
      exchange->send("data: 1\n\n");
    }
  });
  Client client(server.port());
  const Answer api = client.ask(get("/api"));
  EXPECT_EQ(api.status, 422);
  EXPECT_TRUE(contains(api.body, "\"param\":\"field\""));
  const std::string warning = stderr_of([&] {
    const Answer error = client.ask(get("/error"));
    EXPECT_EQ(error.status, 500);
    EXPECT_TRUE(contains(error.body, "internal error: broken"));
  });
  EXPECT_TRUE(contains(warning, "HTTP server: /error: broken"));
  const Answer silence = client.ask(get("/silence"));
  EXPECT_EQ(silence.status, 500);
  EXPECT_TRUE(contains(silence.body, "let the request go without an answer"));
  // A stream breaks off, so that nobody takes a part for the whole.
  client.send(get("/stream"));
  client.read_to("\r\n\r\n");
  EXPECT_EQ(client.read_all(), "9\r\ndata: 1\n\n\r\n");
}

std::set<int> open_files() {
  std::set<int> files;
  for (const auto& file : std::filesystem::directory_iterator("/proc/self/fd")) {
    files.insert(std::stoi(file.path().filename()));
  }
  return files;
}

TEST(Server, LeavesNoFileOpenToOtherPrograms) {
  const std::set<int> before = open_files();
  Server server(any_port(), echo);
  Client client(server.port());
  client.ask(get("/a"));
  int num_checked = 0;
  for (const int file : open_files()) {
    const int flags = ::fcntl(file, F_GETFD);
    if (before.count(file) || flags < 0) continue;  // the folder of files is closed again
    EXPECT_NE(flags & FD_CLOEXEC, 0) << file;
    ++num_checked;
  }
  EXPECT_GE(num_checked, 5) << "of the client, the server's two and its thread's";
}

TEST(Server, WaitsWhereTheSystemHasNoFilesLeft) {
  Server server(any_port(), echo);
  rlimit before = {};
  ::getrlimit(RLIMIT_NOFILE, &before);
  const int lowest_free = ::dup(0);
  ::close(lowest_free);
  rlimit one_more = before;
  one_more.rlim_cur = static_cast<rlim_t>(lowest_free + 1);
  ::setrlimit(RLIMIT_NOFILE, &one_more);
  Client client(server.port());
  client.send(get("/a"));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(server.num_connections(), 0);
  ::setrlimit(RLIMIT_NOFILE, &before);
  EXPECT_EQ(client.read_answer().status, 200);
}

}  // namespace
}  // namespace longgen::http
