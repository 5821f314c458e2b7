#include "longgen/dist/sockets/handshake.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>

#include "longgen/base/check.h"
#include "longgen/dist/sockets/mesh.h"
#include "memory_store.h"
#include "rank_threads.h"

namespace longgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

Deadline soon(int ms = 2000) { return steady_clock::now() + milliseconds(ms); }

/// What the acceptor, rank 0, thinks of somebody who connects.
std::pair<Visitor::State, int> meet(const std::string& key,
                                    const std::function<void(const Socket&)>& visit) {
  auto ends = connected_sockets(2);
  const std::string own_key = "0123456789abcdef";
  std::thread other([&] {
    visit(ends[1][0]);
    ::shutdown(ends[1][0].fd(), SHUT_WR);
  });
  Visitor visitor(std::move(ends[0][1]), key.empty() ? own_key : key, 0);
  Visitor::State state = visitor.look();
  while (state == Visitor::State::waits) {
    pollfd entry{visitor.fd(), POLLIN, 0};
    ::poll(&entry, 1, 1000);
    state = visitor.look();
  }
  other.join();
  return {state, visitor.from()};
}

TEST(Handshake, RanksOfOneRunKnowEachOther) {
  bool known = false;
  const auto [state, from] = meet("", [&](const Socket& socket) {
    known = introduce(socket, "0123456789abcdef", 3, 0, soon());
  });
  EXPECT_TRUE(known);
  EXPECT_EQ(state, Visitor::State::known);
  EXPECT_EQ(from, 3);
}

TEST(Handshake, AnotherKeyOrAnotherRankIsAStranger) {
  bool known = true;
  const auto visit_with = [&](const std::string& key, int to) {
    return meet("", [&, key, to](
                        const Socket& socket) { known = introduce(socket, key, 3, to, soon(200)); })
        .first;
  };
  EXPECT_EQ(visit_with("0123456789abcdeF", 0), Visitor::State::stranger);
  EXPECT_FALSE(known);
  EXPECT_EQ(visit_with("0123456789abcdef", 1), Visitor::State::stranger);
  EXPECT_FALSE(known);
}

TEST(Handshake, NoiseAndSilenceAreStrangers) {
  const auto send_bytes = [](size_t count) {
    return [count](const Socket& socket) {
      const std::vector<std::byte> bytes(count, std::byte{7});
      write_all(socket, bytes, soon());
    };
  };
  for (const size_t count : {0, 10, 52, 1000}) {
    EXPECT_EQ(meet("", send_bytes(count)).first, Visitor::State::stranger) << count;
  }
}

TEST(Mesh, ConnectsAllAndTurnsStrangersAway) {
  MemoryStore store;
  constexpr int kRanks = 4;
  std::thread stranger([&] {
    std::unique_ptr<Store> own = store.connect_again();
    const std::string address = own->get("address/0", soon());
    const auto port = std::stoi(address.substr(address.find("port\":") + 6));
    const Socket silent = connect_to({"127.0.0.1", port}, soon());
    const Socket noisy = connect_to({"127.0.0.1", port}, soon());
    write_all(noisy, std::vector<std::byte>(500), soon());
    // The first rank waits for the last one, which comes late.
    std::this_thread::sleep_for(milliseconds(200));
  });
  const auto errors = run_threads(kRanks, [&](int rank) {
    if (rank == kRanks - 1) std::this_thread::sleep_for(milliseconds(100));
    const auto own = store.connect_again();
    SocketCommunicator ranks(rank, connect_all(*own, rank, kRanks, "127.0.0.1", soon(5000)),
                             milliseconds(5000));
    ranks.let_leave();
    ranks.barrier("all").wait();
  });
  stranger.join();
  EXPECT_EQ(errors, std::vector<std::string>(kRanks));
}

TEST(Mesh, NamesWhoDoesNotCome) {
  MemoryStore store;
  const auto errors = run_threads(2, [&](int rank) {
    const auto own = store.connect_again();
    connect_all(*own, rank, 4, "127.0.0.1", soon(300));
  });
  EXPECT_EQ(errors[0], "rank 2, 3 did not come. What its own output says is the reason.");
}

TEST(Sockets, AWrongAddressSaysWhatToChange) {
  const auto error = [](const std::function<void()>& action) -> std::string {
    try {
      action();
    } catch (const Error& thrown) {
      return thrown.what();
    }
    return "";
  };
  const Socket taken = listen_at({"127.0.0.1", 0});
  const int port = port_of(taken);
  EXPECT_EQ(error([&] {
              listen_at({"127.0.0.1", port});
            }),
            "127.0.0.1:" + std::to_string(port) +
                ": another program listens there, perhaps another run. Set MASTER_PORT to a free "
                "port, the same for all ranks.");
  EXPECT_EQ(error([] {
              listen_at({"192.0.2.1", 0});
            }),
            "192.0.2.1:0: this is no address of the machine where rank 0 runs. Set MASTER_ADDR to "
            "one.");
  EXPECT_NE(error([] { address_of_interface("nosuch0"); }).find("found \"nosuch0\""),
            std::string::npos);
  EXPECT_EQ(address_of_interface("lo"), "127.0.0.1");
  EXPECT_EQ(address_towards({"127.0.0.1", 1}), "127.0.0.1");
}

}  // namespace
}  // namespace longgen
