// tests/unit/serve/simulated_cache.h: a page pool and sequences without memory, whose pages know
// which tokens they would hold.
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <map>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/base/random.h"
#include "longgen/kv_cache/page_layout.h"
#include "longgen/serve/schedule/prefix_cache.h"

namespace longgen {

class SimulatedPool : public PageOwners {
 public:
  PageId allocate() {
    ++num_in_use_;
    if (free_.empty()) {
      pages_.push_back({1, 0});
      return static_cast<PageId>(pages_.size() - 1);
    }
    const PageId page = free_.back();
    free_.pop_back();
    pages_[page] = {1, 0};
    return page;
  }
  bool allocate(int64_t count, std::vector<PageId>& pages) override {
    if (fails_) return false;
    for (int64_t i = 0; i < count; ++i) pages.push_back(allocate());
    return true;
  }
  /// Has the pool no memory for several pages at once from now on?
  void set_fails(bool fails) { fails_ = fails; }
  void share(PageId page) override {
    LG_DCHECK(pages_.at(page).owners > 0);
    ++pages_[page].owners;
  }
  void release(PageId page) override {
    LG_DCHECK(pages_.at(page).owners > 0);
    if (--pages_[page].owners > 0) return;
    free_.push_back(page);
    --num_in_use_;
  }
  void set_kind(PageId, PageKind) override {}
  int64_t num_owners(PageId page) const { return pages_.at(page).owners; }
  int64_t num_in_use() const { return num_in_use_; }
  /// What stands in a page that is full; 0 before.
  uint64_t& content(PageId page) { return pages_.at(page).content; }

 private:
  struct Page {
    int64_t owners;
    uint64_t content;
  };
  std::vector<Page> pages_;
  std::vector<PageId> free_;
  int64_t num_in_use_ = 0;
  bool fails_ = false;
};

/// Memory of the host, which knows what stands in its pages. Copies take until they are ended, and
/// until then nobody may change what they read.
class SimulatedHost {
 public:
  explicit SimulatedHost(SimulatedPool& pool) : pool_(pool) {}

  void begin(const PageCopies& copies) {
    ASSERT_TRUE(under_way_.empty());
    for (const PageCopy& copy : copies.to_device) {
      under_way_.push_back({copy, content_.at(copy.host), true});
      pool_.content(copy.device) = 0;
    }
    for (const PageCopy& copy : copies.to_host) {
      under_way_.push_back({copy, pool_.content(copy.device), false});
      content_[copy.host] = 0;
    }
  }
  bool is_copying() const { return !under_way_.empty(); }
  void end() {
    for (const UnderWay& one : under_way_) {
      uint64_t& device = pool_.content(one.copy.device);
      uint64_t& host = content_[one.copy.host];
      ASSERT_GT(pool_.num_owners(one.copy.device), 0);
      ASSERT_EQ(one.to_device ? host : device, one.content) << "changed under a copy";
      ASSERT_EQ(one.to_device ? device : host, 0u);
      (one.to_device ? device : host) = one.content;
    }
    under_way_.clear();
  }

 private:
  struct UnderWay {
    PageCopy copy;
    uint64_t content;
    bool to_device;
  };
  SimulatedPool& pool_;
  std::map<HostPageId, uint64_t> content_;
  std::vector<UnderWay> under_way_;
};

/// Takes and releases pages as SequenceCache does.
class SimulatedSequence : public BlockPages {
 public:
  SimulatedSequence(const KvLayout& layout, SimulatedPool& pool)
      : layout_(layout), pool_(pool), tables_(layout.num_groups() * layout.shape().num_kv_heads) {}
  ~SimulatedSequence() override { clear(); }
  SimulatedSequence(const SimulatedSequence&) = delete;

  PageId page(int64_t table, int64_t block) const override {
    const std::vector<PageId>& pages = tables_.at(table);
    return block < static_cast<int64_t>(pages.size()) ? pages[block] : kNoPage;
  }
  int64_t length() const { return length_; }
  int64_t num_pages() const {
    return count([](int64_t) { return true; });
  }
  /// Pages that nobody else owns.
  int64_t num_own_pages() const {
    return count([this](PageId page) { return pool_.num_owners(page) == 1; });
  }

  void begin(int64_t num_tokens, const std::vector<HeldPage>& pages) {
    for (std::vector<PageId>& table : tables_) table.assign(blocks(num_tokens), kNoPage);
    for (const HeldPage& held : pages) {
      LG_DCHECK(tables_.at(held.table).at(held.block) == kNoPage);
      tables_[held.table][held.block] = held.page;
      pool_.share(held.page);
    }
    length_ = num_tokens;
    prefixes_.clear();
  }
  /// Passes tokens through: `tokens` are all of the sequence, those before among them.
  void pass(const std::vector<int32_t>& tokens, int64_t count) {
    const int64_t end = length_ + count;
    for_each_table([&](int64_t group, int64_t head, std::vector<PageId>& table) {
      for (int64_t block = static_cast<int64_t>(table.size()); block < blocks(end); ++block) {
        table.push_back(layout_.stored(group, head, block) ? pool_.allocate() : kNoPage);
      }
    });
    length_ = end;
    mark(tokens);
  }
  void release_dead() {
    for_each_table([&](int64_t group, int64_t head, std::vector<PageId>& table) {
      for (size_t block = 0; block < table.size(); ++block) {
        const auto index = static_cast<int64_t>(block);
        if (table[block] == kNoPage || layout_.pattern(group).live(index, head, length_)) continue;
        pool_.release(table[block]);
        table[block] = kNoPage;
      }
    });
  }
  void clear() {
    for (std::vector<PageId>& table : tables_) {
      for (const PageId page : table) {
        if (page != kNoPage) pool_.release(page);
      }
      table.clear();
    }
    length_ = 0;
  }
  /// Do all full pages hold what these tokens make?
  bool holds(const std::vector<int32_t>& tokens) {
    prefixes_.clear();
    know(tokens);
    for (size_t table = 0; table < tables_.size(); ++table) {
      for (size_t block = 0; block < prefixes_.size(); ++block) {
        const PageId page = tables_[table].at(block);
        if (page != kNoPage && pool_.content(page) != mix_pair(prefixes_[block], table))
          return false;
      }
    }
    return true;
  }

 private:
  static int64_t blocks(int64_t tokens) { return (tokens + Pattern::kBlock - 1) / Pattern::kBlock; }
  /// Makes the prefixes of all full blocks.
  void know(const std::vector<int32_t>& tokens) {
    uint64_t prefix = prefixes_.empty() ? 0 : prefixes_.back();
    while (static_cast<int64_t>(prefixes_.size()) < length_ / Pattern::kBlock) {
      const size_t begin = prefixes_.size() * Pattern::kBlock;
      for (size_t i = begin; i < begin + Pattern::kBlock; ++i) {
        prefix = mix_pair(prefix, static_cast<uint64_t>(tokens.at(i)) + 1);
      }
      prefixes_.push_back(prefix);
    }
  }
  void mark(const std::vector<int32_t>& tokens) {
    const size_t first = prefixes_.size();
    know(tokens);
    for (size_t table = 0; table < tables_.size(); ++table) {
      for (size_t block = first; block < prefixes_.size(); ++block) {
        const PageId page = tables_[table][block];
        if (page != kNoPage && pool_.content(page) == 0) {
          pool_.content(page) = mix_pair(prefixes_[block], table);
        }
      }
    }
  }
  template <typename Wanted>
  int64_t count(const Wanted& wanted) const {
    int64_t pages = 0;
    for (const std::vector<PageId>& table : tables_) {
      for (const PageId page : table) pages += page != kNoPage && wanted(page) ? 1 : 0;
    }
    return pages;
  }
  template <typename Visit>
  void for_each_table(const Visit& visit) {
    const int64_t num_heads = layout_.shape().num_kv_heads;
    for (size_t table = 0; table < tables_.size(); ++table) {
      const auto index = static_cast<int64_t>(table);
      visit(index / num_heads, index % num_heads, tables_[table]);
    }
  }

  const KvLayout& layout_;
  SimulatedPool& pool_;
  std::vector<std::vector<PageId>> tables_;
  std::vector<uint64_t> prefixes_;  // one number for all tokens up to the end of each full block
  int64_t length_ = 0;
};

/// Tokens that depend on the key alone; a longer text of a key begins with the shorter one.
inline std::vector<int32_t> tokens_of(uint64_t key, int64_t count) {
  RandomStream random(key);
  std::vector<int32_t> tokens(count);
  for (int32_t& token : tokens) token = static_cast<int32_t>(random.below(1000));
  return tokens;
}

}  // namespace longgen
