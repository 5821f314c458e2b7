#include "longgen/dist/tcp_store.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/error_text.h"

namespace longgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

TEST(TcpStore, SeveralClientsSeeOneStoreAndRunsAreApart) {
  Socket listener = listen_at({"127.0.0.1", 0});
  const Endpoint where = {"127.0.0.1", port_of(listener)};
  const auto server = serve_store(std::move(listener), where.host, "a/0", 2);
  const auto client = connect_to_store(where, "a/0", 2, milliseconds(5000));
  const auto other_run = connect_to_store(where, "a/1", 2, milliseconds(5000));

  std::thread writer([&] {
    std::this_thread::sleep_for(milliseconds(20));
    server->connect_again()->set("key", "value");
  });
  EXPECT_EQ(client->get("key", steady_clock::now() + milliseconds(5000)), "value");
  writer.join();
  EXPECT_EQ(server->find("key"), "value");
  EXPECT_EQ(other_run->find("key"), std::nullopt);

  EXPECT_EQ(client->set_first("cause", "rank 1"), "rank 1");
  EXPECT_EQ(server->set_first("cause", "rank 0"), "rank 1");
  EXPECT_EQ(server->get_all({"key", "cause"}), (std::vector<std::string>{"value", "rank 1"}));

  const std::string error =
      error_of([&] { client->get("missing", steady_clock::now() + milliseconds(50)); });
  EXPECT_TRUE(error.starts_with("the ranks' store at " + where.text() + ": ")) << error;
}

TEST(TcpStore, AServerThatIsGoneIsAnError) {
  Socket listener = listen_at({"127.0.0.1", 0});
  const Endpoint where = {"127.0.0.1", port_of(listener)};
  auto server = serve_store(std::move(listener), where.host, "a/0", 2);
  const auto client = connect_to_store(where, "a/0", 2, milliseconds(2000));
  server.reset();
  EXPECT_NE(error_of([&] { client->find("key"); }), "");
}

}  // namespace
}  // namespace longgen
