#include "longgen/kv_cache/sequence_cache.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "longgen/base/check.h"

namespace longgen {

SequenceCache::SequenceCache(const KvLayout& layout, PagePool& pool)
    : layout_(layout), pool_(pool), tables_(layout.num_tables()) {
  LG_CHECK(pool.page_bytes() == layout.page_bytes(), "[kv cache] the pool has pages of ",
           pool.page_bytes(), " bytes, the model needs pages of ", layout.page_bytes(),
           ". Make the pool with the layout's page_bytes().");
  identity_ = pool.new_version();
}

SequenceCache::~SequenceCache() { clear(); }

template <typename Visit>
void SequenceCache::for_each_table(const Visit& visit) {
  const int64_t num_kv_heads = layout_.shape().num_kv_heads;
  for (size_t t = 0; t < tables_.size(); ++t) {
    const auto index = static_cast<int64_t>(t);
    visit(index / num_kv_heads, index % num_kv_heads, tables_[t]);
  }
}

bool SequenceCache::fork_from(const SequenceCache& other, int64_t num_tokens) {
  LG_CHECK(&layout_ == &other.layout_ && &pool_ == &other.pool_,
           "[kv cache] sequences that share pages must have one layout and one pool.");
  LG_CHECK(length_ == 0 && reserved_ == 0 && other.reserved_ == 0,
           "[kv cache] only an empty sequence can be forked from another, and both only between "
           "passes; found ",
           length_, " tokens, and ", reserved_, " and ", other.reserved_, " reserved ones.");
  LG_CHECK(num_tokens >= 0 && num_tokens <= other.length_, "[kv cache] cannot fork at ", num_tokens,
           " of ", other.length_, " tokens.");
  std::vector<HeldPage> pages;
  for (int32_t t = 0; t < static_cast<int32_t>(tables_.size()); ++t) {
    for (int32_t j = 0; j < num_blocks(num_tokens); ++j) {
      if (!layout_.live(t, j, num_tokens)) continue;
      pages.push_back({t, j, other.tables_[t].pages[j]});
      if (pages.back().page == kNoPage) return false;
    }
  }
  adopt(num_tokens, pages);
  return true;
}

void SequenceCache::adopt(int64_t num_tokens, std::span<const HeldPage> pages) {
  LG_CHECK(length_ == 0 && reserved_ == 0,
           "[kv cache] only an empty sequence can adopt pages; found ", length_, " tokens and ",
           reserved_, " reserved ones.");
  const auto num_pages = static_cast<int64_t>(pages.size());
  const int64_t num_held = layout_.pages_held(num_tokens), end = num_blocks(num_tokens);
  LG_CHECK(num_pages == num_held, "[kv cache] ", num_tokens, " tokens are held by ", num_held,
           " pages, found ", num_pages, ".");
  std::vector<Table> tables(tables_.size());
  for (Table& table : tables) table.pages.assign(end, kNoPage);
  for (const auto& [t, block, page] : pages) {
    LG_CHECK(t >= 0 && t < static_cast<int64_t>(tables.size()) && block >= 0 && block < end &&
                 page >= 0 && layout_.live(t, block, num_tokens) &&
                 tables[t].pages[block] == kNoPage,
             "[kv cache] page ", page, " for block ", block, " of table ", t, " is not live at ",
             num_tokens, " tokens, or not the first one given for it.");
    tables[t].pages[block] = page;
  }
  for (const HeldPage& held : pages) pool_.share(held.page);
  tables_ = std::move(tables);
  length_ = num_tokens;
  num_pages_ = num_pages;
  note_change();
}

bool SequenceCache::writes_to_shared(const Table& table, int64_t num_tokens) const {
  return num_tokens > 0 && length_ % Pattern::kBlock != 0 && table.pages.back() != kNoPage &&
         pool_.is_shared(table.pages.back());
}

int64_t SequenceCache::pages_needed(int64_t num_tokens) const {
  LG_CHECK(!keeps_dead_, "[kv cache] the last pass left dead pages. Call release_dead() first.");
  const auto num_copies = std::count_if(tables_.begin(), tables_.end(), [&](const Table& table) {
    return writes_to_shared(table, num_tokens);
  });
  return layout_.pages_in_pass(length_, length_ + num_tokens) - num_pages_ + num_copies;
}

bool SequenceCache::reserve(int64_t num_tokens) {
  LG_CHECK(reserved_ == 0, "[kv cache] ", reserved_,
           " tokens are reserved already. Commit or cancel them first.");
  LG_CHECK(num_tokens >= 0 && num_tokens <= KvLayout::kMaxTokens - length_,
           "[kv cache] cannot add ", num_tokens, " tokens to a sequence of ", length_,
           ": between 0 and ", KvLayout::kMaxTokens, " in all.");
  const int64_t first = num_blocks(length_), end = num_blocks(length_ + num_tokens);
  for_each_table([&](int64_t, int64_t, Table& table) {
    // Grows in steps of half its size: exact reservations would copy the table for every block.
    if (static_cast<size_t>(end) > table.pages.capacity()) table.pages.reserve(end + end / 2);
  });
  std::vector<PageId> pages;
  if (!pool_.allocate(pages_needed(num_tokens), pages)) return false;
  auto next = pages.begin();
  const auto take = [&](int64_t group, int64_t kv_head, int64_t block) {
    const int64_t table = group * layout_.shape().num_kv_heads + kv_head;
    pool_.set_kind(*next, page_kind(layout_, table, block));
    return *next++;
  };
  bool changes = end > first;
  for_each_table([&](int64_t group, int64_t kv_head, Table& table) {
    if (writes_to_shared(table, num_tokens)) {
      table.before_copy = std::exchange(table.pages.back(), take(group, kv_head, first - 1));
      pool_.copy(table.pages.back(), table.before_copy);
      changes = true;
    }
    for (int64_t j = first; j < end; ++j) {
      const bool stored = layout_.stored(group, kv_head, j) && next != pages.end();
      table.pages.push_back(stored ? take(group, kv_head, j) : kNoPage);
      num_pages_ += stored ? 1 : 0;
    }
  });
  if (changes) note_change();
  reserved_ = num_tokens;
  LG_DCHECK(next == pages.end());
  return true;
}

void SequenceCache::commit() {
  commit_keeping_dead();
  release_dead();
}

void SequenceCache::commit_keeping_dead() {
  keeps_dead_ = true;
  length_ += reserved_;
  reserved_ = 0;
  for (Table& table : tables_) {
    if (table.before_copy != kNoPage) pool_.release(std::exchange(table.before_copy, kNoPage));
  }
}

void SequenceCache::release_dead() {
  LG_CHECK(reserved_ == 0, "[kv cache] dead pages are released between passes; ", reserved_,
           " tokens are reserved.");
  keeps_dead_ = false;
  for_each_table(
      [&](int64_t group, int64_t kv_head, Table& table) { release_dead(group, kv_head, table); });
}

void SequenceCache::release_dead(int64_t group, int64_t kv_head, Table& table) {
  const Pattern& pattern = layout_.pattern(group);
  if (pattern.is_full()) return;
  const auto end = static_cast<int64_t>(table.pages.size());
  for (int64_t& j = table.oldest_in_window; j < end; ++j) {
    const bool lives_on = pattern.live(j, kv_head, std::numeric_limits<int64_t>::max());
    // Blocks that live for the window only die in order: after one that lives, all of them do.
    if (!lives_on && pattern.live(j, kv_head, length_)) return;
    if (lives_on || table.pages[j] == kNoPage) continue;
    pool_.release(std::exchange(table.pages[j], kNoPage));
    --num_pages_;
    note_change();
  }
}

void SequenceCache::release_from(int64_t first_block) {
  bool changes = false;
  for_each_table([&](int64_t, int64_t, Table& table) {
    while (static_cast<int64_t>(table.pages.size()) > first_block) {
      if (table.pages.back() != kNoPage) {
        pool_.release(table.pages.back());
        --num_pages_;
        changes = true;
      }
      table.pages.pop_back();
    }
    table.oldest_in_window = std::min(table.oldest_in_window, first_block);
    if (table.before_copy != kNoPage) {
      // The copy was the last page that is left, or has gone with the others.
      if (first_block > 0) std::swap(table.pages.back(), table.before_copy);
      pool_.release(std::exchange(table.before_copy, kNoPage));
      changes = true;
    }
  });
  if (changes) note_change();
  reserved_ = 0;
}

void SequenceCache::cancel() {
  if (reserved_ > 0) release_from(num_blocks(length_));
}

void SequenceCache::clear() {
  release_from(0);
  length_ = 0;
  keeps_dead_ = false;
  identity_ = pool_.new_version();
}

std::byte* SequenceCache::block(int64_t layer, int64_t kv_head, int64_t key_block) const {
  const KvLayout::Slot slot = layout_.slot(layer);
  const Table& table = tables_[slot.group * layout_.shape().num_kv_heads + kv_head];
  const PageId page = table.pages.at(key_block);
  LG_DCHECK(page != kNoPage);
  return pool_.address(page) + slot.index * layout_.block_bytes();
}

}  // namespace longgen
