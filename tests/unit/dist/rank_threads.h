// Ranks that are threads of one process, connected by sockets.
#pragma once

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "longgen/dist/sockets/socket_communicator.h"

namespace longgen {

/// Gives connected pairs: result[a][b] is a's end of the connection with b.
inline std::vector<std::vector<Socket>> connected_sockets(int num_ranks) {
  const auto count = static_cast<size_t>(num_ranks);
  std::vector<std::vector<Socket>> ends(count);
  for (auto& of_rank : ends) of_rank.resize(count);
  for (size_t a = 0; a < count; ++a) {
    for (size_t b = a + 1; b < count; ++b) {
      int pair[2];
      LG_CHECK(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0,
               "no socket pair");
      ends[a][b] = Socket(pair[0]);
      ends[b][a] = Socket(pair[1]);
    }
  }
  return ends;
}

/// Runs action(rank) in a thread each; gives the message of the Error that each threw, "" without.
inline std::vector<std::string> run_threads(int num_ranks, const std::function<void(int)>& action) {
  std::vector<std::string> errors(static_cast<size_t>(num_ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < num_ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        action(rank);
      } catch (const Error& error) {
        errors[static_cast<size_t>(rank)] = error.what();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  return errors;
}

/// Expects that at least one rank threw this. Whoever was still waiting when it closed its
/// connections saw that alone.
inline void expect_told(const std::vector<std::string>& errors, const std::string& expected) {
  int num_told = 0;
  for (const std::string& error : errors) {
    num_told += error == expected;
    EXPECT_TRUE(error == expected || error.ends_with(" closed its connection.")) << error;
  }
  EXPECT_GE(num_told, 1) << expected;
}

/// run_threads() with a communicator for each. Whoever throws closes its connections at once, all
/// others when all have ended.
inline std::vector<std::string> run_ranks_in_threads(
    int num_ranks, const std::function<void(SocketCommunicator&)>& action,
    std::chrono::milliseconds call_time = std::chrono::seconds(20)) {
  auto ends = connected_sockets(num_ranks);
  return run_threads(num_ranks, [&](int rank) {
    SocketCommunicator ranks(rank, std::move(ends[static_cast<size_t>(rank)]), call_time);
    action(ranks);
    ranks.let_leave();
    ranks.barrier("end").wait();
  });
}

}  // namespace longgen
