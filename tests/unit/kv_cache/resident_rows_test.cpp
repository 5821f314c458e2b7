// Tables that stay where they are and get what changes, against tables that are listed anew.
#include "longgen/kv_cache/resident_rows.h"

#include <ATen/ops/from_blob.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "longgen/base/check.h"
#include "tests/unit/kv_cache/brute_force.h"
#include "tests/unit/kv_cache/sequence_support.h"

namespace longgen {
namespace {

constexpr int64_t kHeads = 3, kMaxRows = 16;

/// Stands for the memory of a GPU, in which nothing is written but what is uploaded.
class FakeTables {
 public:
  explicit FakeTables(const KvLayout& layout) : rows(layout, kMaxRows) {}

  PassTables update(const std::vector<PassPart>& parts, int64_t num_rows) {
    rows.update(parts, num_rows);
    units_.resize(std::max<size_t>(units_.size(), rows.end()), PassBlock{-7, -7});
    for (const TablePiece& piece : rows.upload().pieces) {
      EXPECT_TRUE(piece.count > 0 && piece.count <= TablePiece::kMostUnits);
      EXPECT_LE(piece.to + piece.count, rows.end());
      std::copy_n(rows.upload().units.begin() + piece.from, piece.count, units_.begin() + piece.to);
    }
    return rows.tables().at(
        at::from_blob(units_.data(), {static_cast<int64_t>(2 * units_.size())}, at::kInt));
  }
  ResidentRows rows;

 private:
  std::vector<PassBlock> units_;
};

/// Row n is `real`'s sequence r, or nobody's.
void expect_row(const PassTables& tables, int64_t n, const PassTables& real, int64_t r,
                int64_t group) {
  const bool is_real = r >= 0;
  const PassSequence& sequence = tables.sequences()[n];
  const int64_t position = is_real ? real.sequences()[r].first_position : 0;
  EXPECT_EQ(sequence.first_row, n);
  EXPECT_EQ(sequence.num_rows, 1);
  EXPECT_EQ(sequence.first_position, position);
  EXPECT_EQ(tables.runs()[n].first_row, n);
  EXPECT_EQ(tables.runs()[n].num_rows, 1);
  EXPECT_EQ(tables.runs()[n].first_place, position % Pattern::kBlock);
  for (int64_t head = 0; head < kHeads; ++head) {
    EXPECT_EQ(tables.run_pages(group)[head * tables.num_runs() + n],
              is_real ? real.run_pages(group)[head * real.num_runs() + r] : kNoPage);
    const int32_t* const start = tables.starts(group) + n * kHeads + head;
    const int32_t* const expected = real.starts(group) + std::max<int64_t>(r, 0) * kHeads + head;
    const int32_t count = is_real ? expected[1] - expected[0] : 0;
    ASSERT_EQ(start[1] - start[0], count) << "group " << group << ", head " << head;
    const PassBlock* const block = tables.blocks() + tables.row_begins(group)[n * kHeads + head];
    const auto same = [](PassBlock a, PassBlock b) {
      return a.page == b.page && a.block_and_fate == b.block_and_fate;
    };
    if (count == 0) continue;
    ASSERT_TRUE(std::equal(block, block + count, real.blocks() + expected[0], same))
        << "row " << n << ", group " << group << ", head " << head;
  }
}

/// Are the tables those of a pass over the parts, and of nobody?
void expect_like_pass_tables(const PassTables& tables, const std::vector<PassPart>& parts,
                             int64_t num_rows, const KvLayout& layout) {
  std::vector<PassPart> with_token;
  for (const PassPart& part : parts) {
    if (part.num_tokens > 0) with_token.push_back(part);
  }
  const PassTables real = PassTables::make(with_token, /*pinned=*/false);
  EXPECT_EQ(tables.num_sequences(), num_rows);
  EXPECT_EQ(tables.num_rows(), num_rows);
  EXPECT_EQ(tables.num_runs(), num_rows);
  EXPECT_EQ(tables.num_kv_heads(), kHeads);
  EXPECT_EQ(tables.max_tokens(), 1);
  for (int64_t group = 0; group < layout.num_groups(); ++group) {
    EXPECT_EQ(tables.starts(group)[0], 0);
    int64_t r = 0;
    for (int64_t n = 0; n < num_rows; ++n) {
      const bool is_real = n < static_cast<int64_t>(parts.size()) && parts[n].num_tokens > 0;
      expect_row(tables, n, real, is_real ? r++ : -1, group);
    }
  }
}

KvLayout layout_of(const std::string& sparse) {
  return {plan_of(6, {1, 2}, sparse), {6, kHeads, 16, PageType::kBfloat16}};
}

/// Sequences that come, grow by chunks and by single tokens, fork, skip steps, are cleared and go.
class Schedule {
 public:
  Schedule(const std::string& sparse, uint64_t seed)
      : layout_(layout_of(sparse)), pool_(layout_.page_bytes()), tables_(layout_), random_(seed) {}

  void run(int num_events) {
    for (int i = 0; i < num_events && !testing::Test::HasFatalFailure(); ++i) {
      const uint64_t event = random_() % 16;
      if (caches_.empty() || (event == 0 && caches_.size() < 10)) {
        caches_.push_back(std::make_unique<SequenceCache>(layout_, pool_));
      } else if (event == 1) {
        fork();
      } else if (event == 2) {
        remove();
      } else if (event == 3) {
        any().clear();
      } else if (event <= 6) {
        chunk();
      } else {
        for (uint64_t steps = random_() % 20; steps > 0; --steps) step();
      }
    }
  }
  int64_t num_steps() const { return num_steps_; }

 private:
  SequenceCache& any() { return *caches_[random_() % caches_.size()]; }

  void fork() {
    const SequenceCache& from = any();
    auto fork = std::make_unique<SequenceCache>(layout_, pool_);
    const int64_t length =
        random_() % 2 == 0 ? from.length() : from.length() - from.length() % Pattern::kBlock;
    if (fork->fork_from(from, length)) caches_.push_back(std::move(fork));
  }
  void remove() {
    const size_t n = random_() % caches_.size();
    // One that is not told of is recognized when its address has a new tenant.
    if (random_() % 4 != 0) tables_.rows.forget(*caches_[n]);
    caches_.erase(caches_.begin() + static_cast<std::ptrdiff_t>(n));
  }
  void chunk() {
    SequenceCache& cache = any();
    ASSERT_TRUE(cache.reserve(static_cast<int64_t>(random_() % (random_() % 4 == 0 ? 3000 : 200))));
    random_() % 4 == 0 ? cache.cancel() : cache.commit();
  }
  void step() {
    std::vector<PassPart> parts;
    for (const auto& cache : caches_) {
      if (random_() % 4 != 0) parts.push_back({cache.get(), random_() % 16 == 0 ? 0 : 1});
    }
    std::shuffle(parts.begin(), parts.end(), random_);
    parts.resize(std::min<size_t>(parts.size(), kMaxRows));
    for (const PassPart& part : parts) ASSERT_TRUE(part.cache->reserve(part.num_tokens));
    const auto num_rows = std::min<int64_t>(
        kMaxRows, std::max<int64_t>(1, static_cast<int64_t>(parts.size() + random_() % 3)));
    const PassTables tables = tables_.update(parts, num_rows);
    expect_like_pass_tables(tables, parts, num_rows, layout_);
    const uint64_t end = random_() % 8;
    for (const PassPart& part : parts) {
      if (end == 0) {
        part.cache->cancel();
      } else if (end == 1) {
        part.cache->commit_keeping_dead();
      } else {
        part.cache->commit();
      }
    }
    for (const PassPart& part : parts) {
      if (end == 1) part.cache->release_dead();
    }
    ++num_steps_;
  }

  KvLayout layout_;
  PagePool pool_;
  FakeTables tables_;
  std::vector<std::unique_ptr<SequenceCache>> caches_;
  std::mt19937_64 random_;
  int64_t num_steps_ = 0;
};

TEST(ResidentRows, AreWhatPassTablesListInAnySchedule) {
  uint64_t seed = 0;
  for (const std::string& sparse : sparse_patterns()) {
    Schedule schedule(sparse, ++seed);
    schedule.run(300);
    EXPECT_GT(schedule.num_steps(), 500);
    if (HasFailure()) FAIL() << sparse << ", seed " << seed;
  }
}

/// How many units a step uploads, of a sequence that gets one token more.
int64_t uploaded_units(FakeTables& tables, SequenceCache& cache, int64_t num_rows = 1) {
  EXPECT_TRUE(cache.reserve(1));
  tables.update({{&cache, 1}}, num_rows);
  cache.commit();
  return static_cast<int64_t>(tables.rows.upload().units.size());
}

TEST(ResidentRows, AStepUploadsWhatHasChanged) {
  const KvLayout layout = layout_of("sink=1,window=4,stride=5");
  PagePool pool(layout.page_bytes());
  SequenceCache cache(layout, pool);
  FakeTables tables(layout);
  append(cache, 64 * 500);
  const int64_t all_rows = layout.pages_held(64 * 500) + layout.num_tables();
  const int64_t first = uploaded_units(tables, cache);
  EXPECT_GE(first, all_rows);
  const int64_t numbers = first - all_rows;
  for (int i = 1; i < 64; ++i) {
    // The page of the place is the same: sequence and run of the row, four numbers each.
    ASSERT_EQ(uploaded_units(tables, cache), 4) << i;
  }
  // A block more: of each row the window's blocks, or the last one of full layers, and the new one.
  const int64_t next = uploaded_units(tables, cache);
  EXPECT_GT(next, numbers);
  EXPECT_LE(next, numbers + layout.num_tables() * 5);
  // With another number of rows the numbers lie elsewhere; the rows do not.
  EXPECT_GT(uploaded_units(tables, cache, 2), numbers);
  EXPECT_EQ(uploaded_units(tables, cache, 2), 8);
  tables.rows.clear();
  EXPECT_GE(uploaded_units(tables, cache, 2), all_rows);
}

TEST(ResidentRows, PlacesAreTakenAgain) {
  const KvLayout layout = layout_of("sink");
  PagePool pool(layout.page_bytes());
  FakeTables tables(layout);
  const int64_t none = tables.rows.end();
  int64_t end = 0;
  for (int i = 0; i < 5; ++i) {
    SequenceCache cache(layout, pool);
    append(cache, 5000);
    uploaded_units(tables, cache);
    EXPECT_GT(tables.rows.end(), none);
    EXPECT_TRUE(i == 0 || tables.rows.end() == end);
    end = tables.rows.end();
    tables.rows.forget(cache);
    tables.rows.forget(cache);  // of one without a place
  }
  // A growing sequence moves: to 8,192 and 12,288 tokens, and leaves 4,096 to the next one.
  SequenceCache cache(layout, pool);
  for (const int64_t more : {4000, 4000, 4000}) {
    append(cache, more);
    uploaded_units(tables, cache);
  }
  SequenceCache small(layout, pool);
  const int64_t before = tables.rows.end();
  uploaded_units(tables, small);
  EXPECT_EQ(tables.rows.end(), before);
  tables.rows.clear();
  EXPECT_EQ(tables.rows.end(), none);
}

TEST(ResidentRows, RefuseMoreThanThereIsRoomFor) {
  const KvLayout layout = layout_of("sink");
  ResidentRows rows(layout, 4);
  try {
    rows.update({}, 8);
    FAIL();
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "[kv cache] 0 sequences do not fit into 8 rows of at most 4.");
  }
}

}  // namespace
}  // namespace longgen
