#include "longgen/dist/agreement.h"

#include <gtest/gtest.h>

#include "rank_threads.h"

namespace longgen {
namespace {

std::vector<std::string> agree(const std::function<std::vector<Fact>(int rank)>& facts_of) {
  return run_ranks_in_threads(3, [&](SocketCommunicator& ranks) {
    expect_agreement(ranks, "agreement", facts_of(ranks.rank()));
  });
}

TEST(Agreement, EqualFactsPass) {
  EXPECT_EQ(agree([](int) {
              return std::vector<Fact>{{"version", "1"}, {"recipe", "a = 1\nb = 2\n"}};
            }),
            std::vector<std::string>(3));
}

TEST(Agreement, TheFirstThatDiffersIsNamed) {
  const auto errors = agree([](int rank) {
    return std::vector<Fact>{
        {"version", "1"},
        {"recipe", "a = 1\nb = " + std::to_string(rank == 0 ? 2 : 3) + "\nc = 4\n"}};
  });
  const std::string expected =
      "rank 1 differs from rank 0 in its recipe:\n  rank 0: b = 2\n  rank 1: b = 3\nStart all "
      "ranks with the same program, options, recipe, data and model.";
  expect_told(errors, expected);
}

TEST(Agreement, AMissingLineIsADifference) {
  const auto errors = agree([](int rank) {
    return std::vector<Fact>{{"recipe", rank == 2 ? "a = 1\n" : "a = 1\nb = 2\n"}};
  });
  expect_told(errors,
              "rank 2 differs from rank 0 in its recipe:\n  rank 0: b = 2\n  rank 2: \nStart all "
              "ranks with the same program, options, recipe, data and model.");
}

}  // namespace
}  // namespace longgen
