#include "longgen/serve/schedule/cached_pages.h"

#include <gtest/gtest.h>

#include "tests/unit/kv_cache/brute_force.h"
#include "tests/unit/serve/simulated_cache.h"

namespace longgen {
namespace {

/// Two pages that are held on the device, block 0 and 1 of a full layer's table, and a host.
struct Fixture {
  explicit Fixture(int64_t host_capacity = 8)
      : layout(LayerPlan::all_full(3), {3, 2, 16, PageType::kBfloat16}),
        pages(layout, pool, host_capacity) {
    for (int32_t block = 0; block < 2; ++block) {
      const PageId page = pool.allocate();
      pool.content(page) = 100 + static_cast<uint64_t>(block);
      refs.push_back(pages.hold({0, block, page}));
      pool.release(page);  // the sequence that wrote it has ended
    }
  }
  /// Makes all copies, so many at a time; returns how many there were.
  int64_t copy_all(int64_t most = 100) {
    int64_t count = 0;
    while (pages.has_copies()) {
      const PageCopies copies = pages.begin_copies(most);
      EXPECT_LE(copies.size(), most);
      count += copies.size();
      host.begin(copies);
      host.end();
      pages.end_copies();
    }
    return count;
  }
  uint64_t content(CachedPages::Ref ref) { return pool.content(pages.held(ref).page); }

  SimulatedPool pool;
  SimulatedHost host{pool};
  KvLayout layout;
  CachedPages pages;
  CachedPages::Refs refs;
};

TEST(CachedPages, GoToTheHostAndComeBack) {
  Fixture f;
  EXPECT_EQ(f.pages.num_to_host(f.refs), 2);
  f.pages.to_host(f.refs);
  // Until the copies are made the pool does not have them back.
  EXPECT_EQ(f.pool.num_in_use(), 2);
  EXPECT_EQ(f.pages.num_leaving(), 2);
  EXPECT_EQ(f.pages.on_host().full, 2);
  EXPECT_EQ(f.copy_all(1), 2);
  EXPECT_EQ(f.pool.num_in_use(), 0);
  EXPECT_EQ(f.pages.num_leaving(), 0);
  EXPECT_EQ(f.pages.host_room(), 6);

  EXPECT_EQ(f.pages.num_to_device(f.refs), 2);
  ASSERT_TRUE(f.pages.to_device(f.refs));
  EXPECT_TRUE(f.pages.is_arriving(f.refs[0]));
  EXPECT_EQ(f.pages.num_asked(), 2);
  EXPECT_EQ(f.copy_all(1), 2);
  EXPECT_EQ(f.pages.num_arrived(), 2);
  EXPECT_FALSE(f.pages.is_arriving(f.refs[0]));
  EXPECT_EQ(f.content(f.refs[0]), 100u);
  EXPECT_EQ(f.content(f.refs[1]), 101u);
  EXPECT_EQ(f.pages.host_room(), 8);
}

TEST(CachedPages, WhatIsWantedBackBeforeItHasLeftIsNotCopied) {
  Fixture f;
  f.pages.to_host(f.refs);
  EXPECT_EQ(f.pages.num_to_device(f.refs), 0);
  ASSERT_TRUE(f.pages.to_device(f.refs));
  EXPECT_EQ(f.copy_all(), 0);
  EXPECT_EQ(f.pages.num_leaving(), 0);
  EXPECT_EQ(f.pages.host_room(), 8);
  // In the middle of its copy it stays, too.
  f.pages.to_host(f.refs);
  f.host.begin(f.pages.begin_copies(2));
  ASSERT_TRUE(f.pages.to_device(f.refs));
  f.host.end();
  f.pages.end_copies();
  EXPECT_EQ(f.pool.num_in_use(), 2);
  EXPECT_EQ(f.content(f.refs[1]), 101u);
  EXPECT_EQ(f.pages.host_room(), 8);
}

TEST(CachedPages, WhatOneHolderWantsOnTheDeviceStays) {
  Fixture f;
  ASSERT_EQ(f.pages.hold(f.pages.held(f.refs[0])), f.refs[0]);
  f.pages.to_host(f.refs);
  EXPECT_EQ(f.copy_all(), 1);
  EXPECT_EQ(f.pool.num_in_use(), 1);
  EXPECT_EQ(f.pages.host_room(), 6) << "it may leave at any time";
  f.pages.release(f.refs[0], PageTier::device);
  EXPECT_EQ(f.copy_all(), 1);
  EXPECT_EQ(f.pool.num_in_use(), 0);
}

TEST(CachedPages, WhatNobodyWantsInTheMiddleOfACopyGoesAfterIt) {
  Fixture f;
  f.pages.to_host(f.refs);
  f.host.begin(f.pages.begin_copies(2));
  for (const CachedPages::Ref ref : f.refs) f.pages.release(ref, PageTier::host);
  EXPECT_EQ(f.pool.num_in_use(), 2) << "they are being read";
  EXPECT_EQ(f.pages.host_room(), 6);
  f.host.end();
  f.pages.end_copies();
  EXPECT_EQ(f.pool.num_in_use(), 0);
  EXPECT_EQ(f.pages.host_room(), 8);
  // The same on the way back, and before it.
  Fixture g;
  g.pages.to_host(g.refs);
  g.copy_all();
  ASSERT_TRUE(g.pages.to_device(g.refs));
  g.host.begin(g.pages.begin_copies(1));
  for (const CachedPages::Ref ref : g.refs) g.pages.release(ref, PageTier::device);
  EXPECT_EQ(g.pool.num_in_use(), 1);
  g.host.end();
  g.pages.end_copies();
  EXPECT_EQ(g.copy_all(), 0);
  EXPECT_EQ(g.pages.num_arrived(), g.pages.num_asked());
  EXPECT_EQ(g.pool.num_in_use(), 0);
  EXPECT_EQ(g.pages.host_room(), 8);
}

TEST(CachedPages, ASequenceThatHasThePageBringsItBack) {
  Fixture f;
  f.pages.to_host(f.refs);
  f.copy_all();
  const PageId same = f.pool.allocate();
  f.pool.content(same) = 100;
  f.pages.to_device(f.refs[0], same);
  f.pool.release(same);
  EXPECT_EQ(f.pages.held(f.refs[0]).page, same);
  EXPECT_EQ(f.copy_all(), 0);
  EXPECT_EQ(f.pages.host_room(), 7);
}

TEST(CachedPages, WithoutMemoryForThemNothingComesBack) {
  Fixture f;
  f.pages.to_host(f.refs);
  f.copy_all();
  f.pool.set_fails(true);
  EXPECT_FALSE(f.pages.to_device(f.refs));
  f.pool.set_fails(false);
  ASSERT_TRUE(f.pages.to_device(f.refs));
  f.copy_all();
  EXPECT_EQ(f.content(f.refs[0]), 100u);
}

}  // namespace
}  // namespace longgen
