#include "longgen/measure/texts.h"

#include <gtest/gtest.h>

#include "tests/unit/error_text.h"

namespace longgen {
namespace {

std::vector<int32_t> counted(int32_t first, int32_t count) {
  std::vector<int32_t> ids;
  for (int32_t i = 0; i < count; ++i) ids.push_back(first + i);
  return ids;
}

using Stretches = std::vector<std::vector<int32_t>>;

TEST(StretchCollector, TakesTheBeginningsOfDocumentsFirst) {
  StretchCollector collector(3, 4, std::nullopt);
  EXPECT_TRUE(collector.add(counted(0, 7)));
  EXPECT_TRUE(collector.add(counted(10, 2)));  // too short
  EXPECT_TRUE(collector.add(counted(20, 3)));
  EXPECT_EQ(collector.stretches("books"), (Stretches{{0, 1, 2}, {20, 21, 22}, {3, 4, 5}}));
}

TEST(StretchCollector, StopsWhenItHasEnough) {
  StretchCollector collector(3, 2, std::nullopt);
  EXPECT_TRUE(collector.add(counted(0, 9)));
  EXPECT_FALSE(collector.add(counted(20, 9)));
  EXPECT_EQ(collector.stretches("books"), (Stretches{{0, 1, 2}, {20, 21, 22}}));
}

TEST(StretchCollector, EveryStretchBeginsWithTheModelsToken) {
  StretchCollector collector(3, 5, 99);
  collector.add(counted(0, 5));
  EXPECT_EQ(collector.stretches("books"), (Stretches{{99, 0, 1}, {99, 2, 3}}));
}

TEST(StretchCollector, NamesTheLongestDocument) {
  StretchCollector collector(1000, 2, 99);
  collector.add(counted(0, 5));
  collector.add(counted(0, 998));
  EXPECT_ERROR(collector.stretches("books"),
               "books: no document has 1,000 tokens (--length); the longest of 2 has 999. Give "
               "longer documents, or a smaller --length.");
}

}  // namespace
}  // namespace longgen
