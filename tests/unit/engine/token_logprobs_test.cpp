#include "longgen/engine/token_logprobs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <random>

namespace longgen {
namespace {

TEST(TokenLogprobsTest, AreThoseOfAFullSort) {
  std::mt19937_64 random(1);
  for (int round = 0; round < 300; ++round) {
    std::vector<float> logprobs(1 + random() % 60);
    for (float& logprob : logprobs) {  // many equal ones
      logprob = random() % 9 == 0 ? -std::numeric_limits<float>::infinity()
                                  : -static_cast<float>(random() % 20);
    }
    std::vector<int32_t> order(logprobs.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return logprobs[a] > logprobs[b]; });
    const auto place = static_cast<size_t>(random() % order.size());
    const auto count = static_cast<int64_t>(random() % 25);
    const TokenLogprobs found = describe_token(logprobs, order[place], count);
    EXPECT_EQ(found.logprob, logprobs[order[place]]);
    EXPECT_EQ(found.rank, static_cast<int64_t>(place) + 1);
    ASSERT_EQ(found.best.size(), std::min<size_t>(count, order.size()));
    for (size_t i = 0; i < found.best.size(); ++i) {
      EXPECT_EQ(found.best[i], (TokenLogprob{order[i], logprobs[order[i]]})) << i;
    }
  }
}

}  // namespace
}  // namespace longgen
