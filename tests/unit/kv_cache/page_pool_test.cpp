#include "longgen/kv_cache/page_pool.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <set>

#include "longgen/base/check.h"
#include "longgen/kv_cache/host_pages.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

TEST(PagePool, PagesDoNotOverlap) {
  // 40 MiB pages: one slab each. 192 bytes: no power of two, many in a slab.
  for (int64_t page_bytes : {int64_t{192}, int64_t{320} << 10, int64_t{40} << 20}) {
    PagePool pool(page_bytes);
    const int64_t count = page_bytes > 1 << 20 ? 3 : 500;
    std::vector<PageId> pages;
    ASSERT_TRUE(pool.allocate(count, pages));
    ASSERT_TRUE(pool.allocate(2, pages));
    ASSERT_EQ(pages.size(), static_cast<size_t>(count + 2));
    for (PageId page : pages) {
      EXPECT_EQ(reinterpret_cast<uintptr_t>(pool.address(page)) % 64, 0u);
      std::memset(pool.address(page), page % 251, page_bytes);
    }
    for (PageId page : pages) {
      EXPECT_EQ(std::to_integer<int>(pool.address(page)[0]), page % 251);
      EXPECT_EQ(std::to_integer<int>(pool.address(page)[page_bytes - 1]), page % 251);
    }
  }
}

TEST(PagePool, FreedPagesComeBackFirst) {
  PagePool pool(4096);
  std::vector<PageId> pages, again;
  ASSERT_TRUE(pool.allocate(10, pages));
  pool.release(pages[3]);
  pool.release(pages[7]);
  EXPECT_EQ(pool.pages_in_use(), 8);
  ASSERT_TRUE(pool.allocate(3, again));
  EXPECT_EQ(again[0], pages[7]);  // the one freed last
  EXPECT_EQ(again[1], pages[3]);
  EXPECT_EQ(again[2], 10);
  EXPECT_EQ(pool.pages_in_use(), 11);
  EXPECT_EQ(pool.bytes_in_use(), 11 * 4096);
  EXPECT_EQ(pool.high_water(), 11);
  for (PageId page : again) pool.release(page);
  EXPECT_EQ(pool.pages_in_use(), 8);
  EXPECT_EQ(pool.high_water(), 11);
}

TEST(PagePool, ASharedPageIsFreeWhenItsLastOwnerReleasesIt) {
  PagePool pool(4096, 2 * 4096);
  std::vector<PageId> pages;
  ASSERT_TRUE(pool.allocate(2, pages));
  EXPECT_FALSE(pool.is_shared(pages[0]));
  pool.share(pages[0]);
  pool.share(pages[0]);
  EXPECT_TRUE(pool.is_shared(pages[0]));
  EXPECT_FALSE(pool.is_shared(pages[1]));
  EXPECT_EQ(pool.pages_in_use(), 2);  // each page once
  for (const bool still_shared : {true, false}) {
    pool.release(pages[0]);
    EXPECT_EQ(pool.is_shared(pages[0]), still_shared);
    EXPECT_EQ(pool.pages_left(), 0);
  }
  pool.release(pages[0]);
  EXPECT_EQ(pool.pages_left(), 1);
  EXPECT_THROW(pool.release(pages[0]), Error);
  EXPECT_THROW(pool.share(pages[0]), Error);
}

TEST(PagePool, CopiesWholePages) {
  PagePool pool(4096);
  std::vector<PageId> pages;
  ASSERT_TRUE(pool.allocate(3, pages));
  for (const PageId page : pages) std::memset(pool.address(page), 1 + page, 4096);
  pool.copy(pages[2], pages[0]);
  EXPECT_EQ(std::memcmp(pool.address(pages[2]), pool.address(pages[0]), 4096), 0);
  EXPECT_EQ(std::to_integer<int>(pool.address(pages[1])[4095]), 1 + pages[1]);
}

TEST(PagePool, VersionsAreNew) {
  PagePool pool(4096);
  EXPECT_EQ(pool.new_version(), 1);
  EXPECT_EQ(pool.new_version(), 2);
}

TEST(PagePool, LimitIsAnAnswerAndChangesNothing) {
  PagePool pool(4096, 10 * 4096 + 4095);
  std::vector<PageId> pages;
  EXPECT_FALSE(pool.allocate(11, pages));
  EXPECT_TRUE(pages.empty());
  EXPECT_EQ(pool.pages_in_use(), 0);
  ASSERT_TRUE(pool.allocate(10, pages));
  EXPECT_EQ(pool.pages_left(), 0);
  EXPECT_FALSE(pool.allocate(1, pages));
  EXPECT_TRUE(pool.allocate(0, pages));
  pool.release(pages.front());
  EXPECT_TRUE(pool.allocate(1, pages));
  EXPECT_EQ(std::set<PageId>(pages.begin() + 1, pages.end()).size(), 10u);
}

TEST(PagePool, MoreThanTheSystemHasIsAnAnswerToo) {
  PagePool pool(int64_t{1} << 40);  // a page of 1 TiB
  std::vector<PageId> pages;
  // 2^27 such pages exceed any address space.
  EXPECT_FALSE(pool.allocate(1 << 27, pages));
  EXPECT_TRUE(pages.empty());
  EXPECT_EQ(pool.pages_in_use(), 0);
  EXPECT_FALSE(pool.allocate(std::numeric_limits<int64_t>::max(), pages));
}

/// 300 pages in one range, as on a GPU, which then is full.
class OneRange : public PageMemory {
 public:
  std::byte* add(int64_t bytes) override {
    if (used_ + bytes > static_cast<int64_t>(range_.size())) return nullptr;
    used_ += bytes;
    return range_.data() + used_ - bytes;
  }
  void copy(std::byte* to, const std::byte* from, int64_t bytes) const override {
    std::memcpy(to, from, bytes);
  }
  c10::Device device() const override { return {c10::kCUDA, 1}; }

 private:
  std::vector<std::byte> range_ = std::vector<std::byte>(300 << 20);
  int64_t used_ = 0;
};

TEST(PagePool, MemoryFromElsewhereIsOneRangeAndEndsWithAnAnswer) {
  PagePool pool(1 << 20, std::nullopt, std::make_unique<OneRange>());
  EXPECT_EQ(pool.device(), c10::Device(c10::kCUDA, 1));
  std::vector<PageId> pages;
  ASSERT_TRUE(pool.allocate(100, pages));
  ASSERT_TRUE(pool.allocate(150, pages));
  for (const PageId page : pages) {
    EXPECT_EQ(pool.address(page), pool.address(0) + page * pool.page_bytes());
  }
  EXPECT_FALSE(pool.allocate(100, pages));
  EXPECT_EQ(pages.size(), 250u);
  EXPECT_EQ(pool.pages_in_use(), 250);
  EXPECT_EQ(PagePool(4096).device(), c10::Device(c10::kCPU));
}

TEST(PagePool, Errors) {
  EXPECT_EQ(error_of([] { PagePool pool(100); }),
            "[page pool] a page must have a positive multiple of 64 bytes, found 100.");
  EXPECT_EQ(
      error_of([] { PagePool pool(4096, 4095); }),
      "[page pool] the KV cache is limited to 4095 bytes, but one page has 4096. Allow it more "
      "memory.");
  PagePool pool(4096);
  std::vector<PageId> pages;
  ASSERT_TRUE(pool.allocate(2, pages));
  pool.release(pages[0]);
  EXPECT_THROW(pool.release(pages[0]), Error);  // twice
  EXPECT_THROW(pool.release(2), Error);         // never given out
  EXPECT_THROW(pool.release(-1), Error);
  EXPECT_EQ(pool.pages_in_use(), 1);
}

TEST(HostPages, KeepWhatIsCopiedToThem) {
  constexpr int64_t kBytes = 4096;
  PagePool pool(kBytes);
  HostPages host(pool, 3 * kBytes + 100);
  ASSERT_EQ(host.capacity(), 3);
  std::vector<PageId> pages;
  ASSERT_TRUE(pool.allocate(4, pages));
  const auto fill = [&](PageId page, int value) {
    std::memset(pool.address(page), value, static_cast<size_t>(kBytes));
  };
  const auto holds = [&](PageId page, int value) {
    const std::byte* const bytes = pool.address(page);
    return std::all_of(bytes, bytes + kBytes,
                       [&](std::byte byte) { return byte == static_cast<std::byte>(value); });
  };
  for (int n = 0; n < 4; ++n) fill(pages[n], n + 1);
  host.begin({.to_device = {}, .to_host = {{pages[0], 2}, {pages[1], 0}, {pages[2], 1}}});
  EXPECT_TRUE(host.is_done());
  EXPECT_GE(host.end(), 0);
  for (const PageId page : pages) fill(page, 0);
  // Both ways at once.
  fill(pages[3], 9);
  host.begin({.to_device = {{pages[0], 0}, {pages[1], 2}}, .to_host = {{pages[3], 1}}});
  host.end();
  EXPECT_TRUE(holds(pages[0], 2));
  EXPECT_TRUE(holds(pages[1], 1));
  host.begin({.to_device = {{pages[2], 1}}, .to_host = {}});
  host.end();
  EXPECT_TRUE(holds(pages[2], 9));
}

TEST(HostPages, SayWhatMemoryIsLacking) {
  PagePool pool(4096);
  EXPECT_ERROR(HostPages(pool, 4095), "a page takes 4.00 KiB. Give it more memory, or none.");
  EXPECT_ERROR(HostPages(pool, int64_t{1} << 50), "the host shall keep 1.00 PiB of the KV");
}

}  // namespace
}  // namespace longgen
