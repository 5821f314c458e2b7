#include "longgen/dist/sockets/socket_communicator.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <numeric>

#include "longgen/base/check.h"
#include "longgen/base/random.h"
#include "rank_threads.h"

namespace longgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;
using Buffer = std::vector<std::byte>;

const std::vector<std::string> kNoErrors(5);

std::vector<std::string> none(int num_ranks) {
  return {kNoErrors.begin(), kNoErrors.begin() + num_ranks};
}

/// Bytes that depend on who sends what to whom.
Buffer made_bytes(size_t size, uint64_t call, int from, int to) {
  Buffer bytes(size);
  RandomStream random(mix_pair(call, static_cast<uint64_t>(from * 100 + to)));
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random.next());
  return bytes;
}

/// All sizes of a call, drawn alike by all ranks: some are 0, a few large.
size_t drawn_size(RandomStream& random) {
  const uint64_t kind = random.below(8);
  return kind == 0 ? 0 : random.below(kind == 1 ? 300'000 : 600);
}

/// One call of random parts; the bytes live as long as this.
class RandomCall {
 public:
  RandomCall(Communicator& ranks, uint64_t number) : ranks_(ranks), number_(number) {
    const int count = ranks.num_ranks();
    RandomStream random(number);
    for (int from = 0; from < count; ++from) {
      for (int to = 0; to < count; ++to) {
        const size_t size = drawn_size(random);
        if (from == ranks.rank()) sent_.push_back(made_bytes(size, number, from, to));
        if (to == ranks.rank()) received_.emplace_back(size);
      }
    }
  }

  Pending start() {
    const std::vector<ConstBytes> parts(sent_.begin(), sent_.end());
    const std::vector<Bytes> places(received_.begin(), received_.end());
    return ranks_.all_to_all("call " + std::to_string(number_), parts, places);
  }

  void check() const {
    for (int from = 0; from < ranks_.num_ranks(); ++from) {
      const Buffer& found = received_[static_cast<size_t>(from)];
      LG_CHECK(found == made_bytes(found.size(), number_, from, ranks_.rank()),
               "wrong bytes of rank ", from, " in call ", number_);
    }
  }

 private:
  Communicator& ranks_;
  uint64_t number_;
  std::vector<Buffer> sent_, received_;
};

class Traffic : public testing::TestWithParam<int> {};
INSTANTIATE_TEST_SUITE_P(Ranks, Traffic, testing::Values(2, 3, 5));

TEST_P(Traffic, RandomPartsOfSeveralCallsAtOnceArrive) {
  const auto errors = run_ranks_in_threads(GetParam(), [](SocketCommunicator& ranks) {
    RandomStream random(7);
    for (uint64_t round = 0; round < 25; ++round) {
      std::vector<RandomCall> calls;
      for (uint64_t i = 0; i <= random.below(3); ++i) calls.emplace_back(ranks, round * 10 + i);
      std::vector<Pending> pending;
      for (RandomCall& call : calls) pending.push_back(call.start());
      if (round % 2 == 0) std::ranges::reverse(pending);  // waited for in another order
      for (Pending& each : pending) each.wait();
      for (const RandomCall& call : calls) call.check();
    }
  });
  EXPECT_EQ(errors, none(GetParam()));
}

TEST_P(Traffic, EachKindOfCallDoesWhatItsNameSays) {
  const int count = GetParam();
  const auto errors = run_ranks_in_threads(count, [count](SocketCommunicator& ranks) {
    const int rank = ranks.rank();
    std::vector<int> all(static_cast<size_t>(count), -1);
    std::vector<Bytes> places;
    for (int& number : all) places.push_back(std::as_writable_bytes(std::span(&number, 1)));
    ranks.all_gather("numbers", std::as_bytes(std::span(&rank, 1)), places).wait();
    std::vector<int> expected(static_cast<size_t>(count));
    std::iota(expected.begin(), expected.end(), 0);
    LG_CHECK(all == expected, "all_gather");

    int told = rank == 1 ? 42 : 0;
    ranks.broadcast("answer", 1, std::as_writable_bytes(std::span(&told, 1))).wait();
    LG_CHECK(told == 42, "broadcast");

    // To the right, from the left; the ends have one neighbour.
    int left = -1;
    std::vector<Send> sends;
    std::vector<Receive> receives;
    if (rank + 1 < count) sends.push_back({rank + 1, std::as_bytes(std::span(&rank, 1))});
    if (rank > 0) receives.push_back({rank - 1, std::as_writable_bytes(std::span(&left, 1))});
    ranks.exchange("halo", sends, receives).wait();
    LG_CHECK(left == rank - 1, "exchange");
    ranks.barrier("all").wait();
  });
  EXPECT_EQ(errors, none(count));
}

TEST(SocketCommunicator, DivergedCallsNameBoth) {
  const auto errors = run_ranks_in_threads(2, [](SocketCommunicator& ranks) {
    int number = 0;
    const Bytes bytes = std::as_writable_bytes(std::span(&number, 1));
    if (ranks.rank() == 0) {
      ranks.all_gather("step 3 losses", bytes, std::vector<Bytes>{bytes, bytes}).wait();
    } else {
      ranks.barrier("step 3 gradients").wait();
    }
  });
  EXPECT_EQ(errors[0],
            "[step 3 losses] rank 1 is at \"step 3 gradients\" (barrier, 0 bytes, message 0), this "
            "rank at \"step 3 losses\" (all_gather, 4 bytes, message 0). All ranks make the same "
            "calls in the same order: these two have diverged. Please report this.");
  // The other one may see first that this one has gone.
  EXPECT_TRUE(errors[1].find("rank 0 is at \"step 3 losses\"") != std::string::npos ||
              errors[1] == "[step 3 gradients] rank 0 closed its connection.")
      << errors[1];
}

TEST(SocketCommunicator, SizesThatDifferAreDivergedCalls) {
  const auto errors = run_ranks_in_threads(2, [](SocketCommunicator& ranks) {
    std::vector<std::byte> bytes(ranks.rank() == 0 ? 8 : 16);
    ranks.broadcast("weights", 0, bytes).wait();
    if (ranks.rank() == 0) ranks.barrier("after it").wait();
  });
  EXPECT_TRUE(
      errors[1].starts_with("[weights] rank 0 is at \"weights\" (broadcast, 8 bytes, message "
                            "0), this rank at \"weights\" (broadcast, 16 bytes, "))
      << errors[1];
  EXPECT_NE(errors[0], "");
}

/// Lets a thread wait for another one, ten seconds at most.
class Flag {
 public:
  void set() { is_set_ = true; }
  void wait() const {
    const auto deadline = steady_clock::now() + milliseconds(10'000);
    while (!is_set_ && steady_clock::now() < deadline) std::this_thread::sleep_for(milliseconds(1));
  }

 private:
  std::atomic<bool> is_set_ = false;
};

TEST(SocketCommunicator, ARankThatIsLateIsNamed) {
  Flag done;
  const auto errors = run_ranks_in_threads(
      3,
      [&](SocketCommunicator& ranks) {
        if (ranks.rank() != 0) return done.wait();
        try {
          ranks.barrier("step 1").wait();
        } catch (const Error&) {
          done.set();
          throw;
        }
      },
      milliseconds(100));
  EXPECT_EQ(errors[0], "[step 1] ranks 1, 2 did not take part within 0.1s.");
}

TEST(SocketCommunicator, AbortWakesWhoWaits) {
  Flag done;
  const auto begin = steady_clock::now();
  const auto errors = run_ranks_in_threads(2, [&](SocketCommunicator& ranks) {
    if (ranks.rank() == 1) return done.wait();
    std::thread watcher([&] {
      std::this_thread::sleep_for(milliseconds(30));
      ranks.abort("rank 1 is silent.", 1);
    });
    try {
      ranks.barrier("step 1").wait();
      ADD_FAILURE() << "the barrier ended";
    } catch (const RankLost& lost) {
      EXPECT_EQ(lost.rank(), 1);
      EXPECT_STREQ(lost.what(), "rank 1 is silent.");
    }
    watcher.join();
    done.set();
    ranks.barrier("step 2").wait();  // throws the same
  });
  EXPECT_EQ(errors[0], "rank 1 is silent.");
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(5));
}

/// What rank 0 says of a rank 1 that writes these bytes and closes.
std::string answer_to(const Buffer& bytes) {
  auto ends = connected_sockets(2);
  SocketCommunicator ranks(0, std::move(ends[0]), milliseconds(5000));
  write_all(ends[1][0], bytes, steady_clock::now() + milliseconds(5000));
  ends.clear();
  try {
    Buffer received(1000);
    ranks.exchange("halo", {}, std::vector<Receive>{{1, received}}).wait();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(SocketCommunicator, ATornMessageNamesTheRank) {
  MessageHead head;
  head.num_bytes = 1000;
  head.kind = static_cast<uint32_t>(CallKind::exchange);
  std::ranges::copy(std::string("halo"), head.name.begin());
  const auto bytes = std::as_bytes(std::span(&head, 1));
  Buffer message(bytes.begin(), bytes.end());
  message.resize(sizeof(head) + 1000);
  EXPECT_EQ(answer_to(message), "");
  for (const size_t size : {size_t{0}, size_t{40}, sizeof(head), sizeof(head) + 999}) {
    const Buffer torn(message.begin(), message.begin() + static_cast<int64_t>(size));
    EXPECT_EQ(answer_to(torn), "[halo] rank 1 closed its connection.") << size;
  }
}

TEST(SocketCommunicator, NoiseIsADivergedCall) {
  const std::string error = answer_to(Buffer(sizeof(MessageHead), std::byte{0x41}));
  EXPECT_TRUE(error.starts_with("[halo] rank 1 is at \"" + std::string(64, 'A') + "\" (no call, "))
      << error;
}

TEST(SocketCommunicator, ACallThatIsGivenUpEndsTheCommunicator) {
  const auto errors = run_ranks_in_threads(2, [](SocketCommunicator& ranks) {
    if (ranks.rank() == 1) return ranks.barrier("step 1").wait();
    {
      std::vector<std::byte> gone(64);
      const Pending unused = ranks.exchange("gone", {}, std::vector<Receive>{{1, gone}});
    }
    ranks.barrier("step 1").wait();
  });
  EXPECT_EQ(errors[0], "[gone] was given up by this rank.");
}

TEST(SocketCommunicator, WrongCallsAreRefused) {
  const auto errors = run_ranks_in_threads(2, [](SocketCommunicator& ranks) {
    if (ranks.rank() == 1) {
      ranks.exchange("x", {}, std::vector<Receive>{{1, {}}}).wait();
    } else {
      ranks.barrier(std::string(64, 'n')).wait();
    }
  });
  EXPECT_EQ(errors[1], "[x] expected another rank than this one, 1 of 2, found 1.");
  EXPECT_EQ(errors[0],
            "[" + std::string(64, 'n') + "] expected a name of 1 to 63 bytes, found 64.");
}

/// Three processes; what happens to rank 1 happens in the middle of traffic.
class Processes : public testing::Test {
 protected:
  void start(const std::function<void(SocketCommunicator&)>& of_rank_1) {
    auto ends = connected_sockets(3);
    for (size_t rank = 0; rank < 3; ++rank) {
      const pid_t id = ::fork();
      if (id == 0) {
        std::vector<Socket> own = std::move(ends[rank]);
        ends.clear();
        SocketCommunicator ranks(static_cast<int>(rank), std::move(own), milliseconds(20'000));
        ::_exit(run(ranks, of_rank_1));
      }
      ids_.push_back(id);
    }
  }

  /// 0 where all went well, 10 + the rank that was lost, 1 for another error.
  static int run(SocketCommunicator& ranks, const std::function<void(SocketCommunicator&)>& act) {
    try {
      for (uint64_t round = 0;; ++round) {
        RandomCall call(ranks, round);
        call.start().wait();
        call.check();
        if (ranks.rank() == 1 && round == 20) act(ranks);
        if (round == 40) return 0;
      }
    } catch (const RankLost& lost) {
      return 10 + lost.rank();
    } catch (const Error&) {
      return 1;
    }
  }

  int status_of(size_t rank) {
    int status = 0;
    ::waitpid(ids_[rank], &status, 0);
    return status;
  }

  std::vector<pid_t> ids_;
};

TEST_F(Processes, TalkUntilTheEnd) {
  start([](SocketCommunicator&) {});
  for (size_t rank = 0; rank < 3; ++rank) {
    const int status = status_of(rank);
    ASSERT_TRUE(WIFEXITED(status)) << rank;
    // Whoever ends first closes its connections: only after its last call.
    EXPECT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) >= 10) << WEXITSTATUS(status);
  }
}

TEST_F(Processes, AKilledOneIsNamedAtOnce) {
  const auto begin = steady_clock::now();
  start([](SocketCommunicator&) { ::raise(SIGKILL); });
  EXPECT_EQ(WEXITSTATUS(status_of(0)), 11);
  const int other = WEXITSTATUS(status_of(2));
  EXPECT_TRUE(other == 11 || other == 10) << other;  // 0 has gone, too, by then
  EXPECT_TRUE(WIFSIGNALED(status_of(1)));
  EXPECT_LT(steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST_F(Processes, AStoppedOneIsWaitedForAndGoesOn) {
  start([](SocketCommunicator&) { ::raise(SIGSTOP); });
  int status = 0;
  ASSERT_EQ(::waitpid(ids_[1], &status, WUNTRACED), ids_[1]);
  ASSERT_TRUE(WIFSTOPPED(status));
  std::this_thread::sleep_for(milliseconds(50));
  EXPECT_EQ(::waitpid(ids_[0], &status, WNOHANG), 0);
  ::kill(ids_[1], SIGCONT);
  for (size_t rank = 0; rank < 3; ++rank) EXPECT_TRUE(WIFEXITED(status_of(rank)));
}

}  // namespace
}  // namespace longgen
