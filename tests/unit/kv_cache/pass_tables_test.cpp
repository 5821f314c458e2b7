// The tables that GPU kernels read, against the caches that they were made from.
#include "longgen/kv_cache/pass_tables.h"

#include <gtest/gtest.h>

#include <limits>
#include <memory>

#include "longgen/attention/cuda/tiles.h"
#include "longgen/attention/cuda/work_lists.h"
#include "longgen/base/check.h"
#include "tests/unit/kv_cache/brute_force.h"

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;
constexpr int64_t kHeads = 3;

/// Every block that the new tokens or later ones see, and no other, with its page.
void expect_blocks(const PassTables& tables, const std::vector<PassPart>& parts) {
  const KvLayout& layout = parts[0].cache->layout();
  for (int64_t group = 0; group < layout.num_groups(); ++group) {
    const Pattern& pattern = layout.pattern(group);
    int64_t next = tables.starts(group)[0];
    for (size_t n = 0; n < parts.size(); ++n) {
      const SequenceCache& cache = *parts[n].cache;
      const int64_t end = blocks_of(cache.length() + parts[n].num_tokens);
      for (int64_t head = 0; head < kHeads; ++head) {
        ASSERT_EQ(tables.starts(group)[static_cast<int64_t>(n) * kHeads + head], next);
        for (int64_t j = 0; j < end; ++j) {
          const int64_t from = std::max(cache.length(), j * kBlock);
          if (!seen_later(pattern, j, head, from, 40)) continue;
          const PassBlock block = tables.blocks()[next++];
          EXPECT_EQ(block.block(), j);
          EXPECT_EQ(block.page, cache.pages(group, head)[j]);
          EXPECT_EQ(block.lives_on(), seen_later(pattern, j, head, (j + 1000) * kBlock, 40));
        }
      }
    }
    ASSERT_EQ(tables.starts(group)[static_cast<int64_t>(parts.size()) * kHeads], next);
  }
}

/// Every new token once, in order, in the page of its block.
void expect_runs(const PassTables& tables, const std::vector<PassPart>& parts) {
  const KvLayout& layout = parts[0].cache->layout();
  int64_t run = 0, row = 0;
  for (size_t n = 0; n < parts.size(); ++n) {
    const SequenceCache& cache = *parts[n].cache;
    const PassSequence& sequence = tables.sequences()[n];
    EXPECT_EQ(sequence.first_row, row);
    EXPECT_EQ(sequence.num_rows, parts[n].num_tokens);
    EXPECT_EQ(sequence.first_position, cache.length());
    int64_t position = cache.length();
    const int64_t end = position + parts[n].num_tokens;
    for (; position < end; ++run) {
      const PassRun& at = tables.runs()[run];
      ASSERT_GT(at.num_rows, 0);
      EXPECT_EQ(at.first_row, row);
      EXPECT_EQ(at.first_place, position % kBlock);
      EXPECT_TRUE((position + at.num_rows) % kBlock == 0 || position + at.num_rows == end);
      ASSERT_LE(at.first_place + at.num_rows, kBlock);
      for (int64_t group = 0; group < layout.num_groups(); ++group) {
        for (int64_t head = 0; head < kHeads; ++head) {
          EXPECT_EQ(tables.run_pages(group)[head * tables.num_runs() + run],
                    cache.pages(group, head)[position / kBlock]);
        }
      }
      position += at.num_rows;
      row += at.num_rows;
    }
  }
  EXPECT_EQ(run, tables.num_runs());
  EXPECT_EQ(row, tables.num_rows());
}

/// The kernel of prefill finds a block in the list by arithmetic.
void expect_found(const PassTables& tables, const std::vector<PassPart>& parts) {
  const KvLayout& layout = parts[0].cache->layout();
  for (int64_t group = 0; group < layout.num_groups(); ++group) {
    const cuda::BlockPattern pattern = cuda::block_pattern(layout.pattern(group));
    for (size_t n = 0; n < parts.size(); ++n) {
      if (parts[n].num_tokens == 0) continue;
      const int64_t begin = parts[n].cache->length(), end = begin + parts[n].num_tokens;
      for (int64_t head = 0; head < kHeads; ++head) {
        const cuda::KeyBlocks listed(pattern, static_cast<int>(begin / kBlock),
                                     static_cast<int>((end - 1) / kBlock), static_cast<int>(head));
        const int32_t* const start = tables.starts(group) + static_cast<int64_t>(n) * kHeads + head;
        ASSERT_EQ(listed.count(), start[1] - start[0]);
        for (int32_t at = start[0]; at < start[1]; ++at) {
          EXPECT_EQ(listed.find(tables.blocks()[at].block()), start[1] - 1 - at);
        }
      }
    }
  }
}

/// Every new token in one tile, in order.
void expect_tiles(const PassTables& tables, const std::vector<PassPart>& parts) {
  const cuda::TileOfRows* tile = tables.tiles();
  for (size_t n = 0; n < parts.size(); ++n) {
    const int64_t end = parts[n].cache->length() + parts[n].num_tokens;
    for (int64_t position = parts[n].cache->length(); position < end; ++tile) {
      ASSERT_LT(tile - tables.tiles(), tables.num_tiles());
      EXPECT_EQ(tile->sequence, static_cast<int>(n));
      EXPECT_EQ(tile->index, position / cuda::kTileRows);
      position = (int64_t{tile->index} + 1) * cuda::kTileRows;
    }
  }
  EXPECT_EQ(tile - tables.tiles(), tables.num_tiles());
}

TEST(PassTables, ListWhatTheCachesHold) {
  std::mt19937_64 random(3);
  for (const std::string& sparse : sparse_patterns()) {
    if (Pattern::parse(sparse).is_window()) continue;  // the tables' readers, on a GPU, have none
    const LayerPlan plan = plan_of(6, {1, 2}, sparse);
    const KvLayout layout(plan, {6, kHeads, 16, PageType::kBfloat16});
    PagePool pool(layout.page_bytes());
    std::vector<std::unique_ptr<SequenceCache>> caches;
    for (int n = 0; n < 4; ++n) caches.push_back(std::make_unique<SequenceCache>(layout, pool));
    for (int pass = 0; pass < 12; ++pass) {
      std::vector<PassPart> parts;
      int64_t most = 0;
      for (const auto& cache : caches) {
        const auto count = static_cast<int64_t>(random() % (random() % 2 == 0 ? 3 : 300));
        ASSERT_TRUE(cache->reserve(count));
        parts.push_back({cache.get(), count});
        most = std::max(most, count);
      }
      const PassTables tables = PassTables::make(parts, /*pinned=*/false);
      EXPECT_EQ(tables.num_sequences(), 4);
      EXPECT_EQ(tables.num_kv_heads(), kHeads);
      EXPECT_EQ(tables.max_tokens(), most);
      EXPECT_EQ(tables.memory().numel(), tables.num_values());
      expect_blocks(tables, parts);
      expect_found(tables, parts);
      expect_tiles(tables, parts);
      expect_runs(tables, parts);
      for (const PassPart& part : parts) part.cache->commit();
    }
  }
}

TEST(PassTables, PagesOfASequenceChangeOnlyWhenItSaysSo) {
  const KvLayout layout(plan_of(2, {0}, "sink=0,window=2"), {2, kHeads, 16, PageType::kBfloat16});
  PagePool pool(layout.page_bytes());
  SequenceCache cache(layout, pool);
  int64_t changes = cache.page_changes();
  std::vector<PageId> before;
  const auto all_pages = [&] {
    std::vector<PageId> all;
    for (int64_t group = 0; group < layout.num_groups(); ++group) {
      const auto& pages = cache.pages(group, 1);
      all.insert(all.end(), pages.begin(), pages.end());
    }
    return all;
  };
  int64_t times = 0;
  for (int64_t t = 0; t < 500; ++t) {
    ASSERT_TRUE(cache.reserve(1));
    EXPECT_TRUE(cache.page_changes() != changes || all_pages() == before) << t;
    times += cache.page_changes() != changes ? 1 : 0;
    changes = cache.page_changes();
    before = all_pages();
    cache.commit();
  }
  EXPECT_EQ(times, 8);  // once a block
}

}  // namespace
}  // namespace longgen
