#include "longgen/dist/counting.h"

#include <gtest/gtest.h>

#include "longgen/base/check.h"
#include "longgen/dist/volumes/gradients.h"
#include "rank_threads.h"

namespace longgen {
namespace {

TEST(Counting, CountsByKindAndLinkWithoutData) {
  CountingCommunicator ranks(1, 64);
  std::vector<std::byte> part(10), all(640);
  std::vector<Bytes> places;
  for (size_t r = 0; r < 64; ++r) places.push_back(std::span(all).subspan(10 * r, 10));
  ranks.all_gather("weights", part, places).wait();
  ranks.exchange("halo", std::vector<Send>{{2, part}}, {}).wait();
  ranks.barrier("all").wait();
  EXPECT_EQ(ranks.sent().by_kind.at(CallKind::all_gather), 630);
  EXPECT_EQ(ranks.sent().by_kind.at(CallKind::exchange), 10);
  EXPECT_EQ(ranks.sent().by_kind.at(CallKind::barrier), 0);
  EXPECT_EQ(ranks.sent().by_link.at(2), 20);
  EXPECT_EQ(ranks.sent().by_link.at(0), 10);
  EXPECT_EQ(ranks.sent().total(), 640);
}

TEST(Counting, CountsWhatAnotherOneSends) {
  const auto errors = run_ranks_in_threads(2, [](SocketCommunicator& sockets) {
    CountingCommunicator ranks(sockets);
    int number = ranks.rank() == 0 ? 5 : 0;
    ranks.broadcast("answer", 0, std::as_writable_bytes(std::span(&number, 1))).wait();
    LG_CHECK(number == 5, "the number did not come");
    LG_CHECK(ranks.sent().total() == (ranks.rank() == 0 ? 4 : 0), "counted wrong");
  });
  EXPECT_EQ(errors, std::vector<std::string>(2));
}

TEST(Volumes, SharesCoverAllElementsOnce) {
  for (const int64_t count : {0, 1, 5, 7, 100}) {
    for (const int ranks : {1, 2, 3, 7}) {
      int64_t next = 0;
      for (int rank = 0; rank < ranks; ++rank) {
        const ElementRange share = share_of(count, rank, ranks);
        EXPECT_EQ(share.begin, next);
        EXPECT_LE(share.size(), count / ranks + 1);
        next = share.end;
      }
      EXPECT_EQ(next, count);
    }
  }
}

TEST(Volumes, AllRanksTogetherSendEachGradientAndEachSumPOverOneTimes) {
  // 4 micro-batches, 3 ranks: of each element (P-1)/P leave the ranks that have it, on average.
  int64_t bytes = 0;
  for (int rank = 0; rank < 3; ++rank) bytes += gradient_bytes_sent(9000, 4, 4, 3000, rank, 3);
  EXPECT_EQ(bytes, 4 * (4 * 6000 + 9000 * 2));
}

}  // namespace
}  // namespace longgen
