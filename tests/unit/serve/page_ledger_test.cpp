#include "longgen/serve/schedule/page_ledger.h"

#include <gtest/gtest.h>

#include "tests/unit/error_text.h"

namespace longgen {
namespace {

TEST(PageLedger, WhatIsReservedIsNotAvailable) {
  PageLedger ledger(100);
  EXPECT_TRUE(ledger.reserve(1, 60));
  EXPECT_EQ(ledger.available(), 40);
  EXPECT_FALSE(ledger.reserve(2, 41));
  EXPECT_EQ(ledger.num_requests(), 1);
  EXPECT_TRUE(ledger.reserve(2, 40));
  EXPECT_EQ(ledger.available(), 0);
  ledger.release(1);
  EXPECT_EQ(ledger.reserved(), 40);
  EXPECT_EQ(ledger.reserved_for(1), 0);
  EXPECT_EQ(ledger.reserved_for(2), 40);
}

TEST(PageLedger, ShrinksAfterThePrompt) {
  PageLedger ledger(100);
  ASSERT_TRUE(ledger.reserve(1, 80));
  ledger.shrink(1, 30);
  EXPECT_EQ(ledger.available(), 70);
  EXPECT_ERROR(ledger.shrink(1, 31), "internal error");
  EXPECT_ERROR(ledger.shrink(2, 0), "internal error");
}

TEST(PageLedger, LastingPagesChangeHandsAndWindowPagesNeedRoom) {
  PageLedger ledger(100);
  ASSERT_TRUE(ledger.reserve(1, 80));
  EXPECT_FALSE(ledger.share(1, 50, 21));
  EXPECT_EQ(ledger.reserved(), 80);
  EXPECT_TRUE(ledger.share(1, 50, 15));
  EXPECT_EQ(ledger.reserved(), 30);
  EXPECT_EQ(ledger.cached(), 65);
  EXPECT_EQ(ledger.available(), 5);
  ledger.uncache(10);
  EXPECT_EQ(ledger.available(), 15);
  ledger.release(1, 12);  // of 30, the cache keeps 12
  EXPECT_EQ(ledger.reserved(), 0);
  EXPECT_EQ(ledger.cached(), 67);
  EXPECT_ERROR(ledger.uncache(68), "internal error");
}

TEST(PageLedger, RefusesWhatCannotBe) {
  EXPECT_ERROR(PageLedger(0), "must hold at least one page, found 0");
  PageLedger ledger(10);
  ASSERT_TRUE(ledger.reserve(1, 5));
  EXPECT_ERROR((void)ledger.reserve(1, 1), "internal error");
  EXPECT_ERROR((void)ledger.share(1, 6, 0), "internal error");
  EXPECT_ERROR(ledger.release(1, 6), "internal error");
  EXPECT_ERROR(ledger.release(2), "internal error");
}

}  // namespace
}  // namespace longgen
