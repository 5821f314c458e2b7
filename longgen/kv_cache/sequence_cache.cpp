#include "longgen/kv_cache/sequence_cache.h"

#include <algorithm>
#include <limits>

#include "longgen/base/check.h"

namespace longgen {
namespace {

int64_t num_blocks(int64_t num_tokens) {
  return (num_tokens + Pattern::kBlock - 1) / Pattern::kBlock;
}

}  // namespace

SequenceCache::SequenceCache(const KvLayout& layout, PagePool& pool)
    : layout_(layout), pool_(pool), tables_(layout.num_groups() * layout.shape().num_kv_heads) {
  LG_CHECK(pool.page_bytes() == layout.page_bytes(), "[kv cache] the pool has pages of ",
           pool.page_bytes(), " bytes, the model needs pages of ", layout.page_bytes(),
           ". Make the pool with the layout's page_bytes().");
}

SequenceCache::~SequenceCache() { free_from(0); }

template <typename Visit>
void SequenceCache::for_each_table(const Visit& visit) {
  const int64_t num_kv_heads = layout_.shape().num_kv_heads;
  for (size_t t = 0; t < tables_.size(); ++t) {
    const auto index = static_cast<int64_t>(t);
    visit(index / num_kv_heads, index % num_kv_heads, tables_[t]);
  }
}

bool SequenceCache::reserve(int64_t num_tokens) {
  LG_CHECK(reserved_ == 0, "[kv cache] ", reserved_,
           " tokens are reserved already. Commit or cancel them first.");
  LG_CHECK(num_tokens >= 0 && num_tokens <= KvLayout::kMaxTokens - length_,
           "[kv cache] cannot add ", num_tokens, " tokens to a sequence of ", length_,
           ": between 0 and ", KvLayout::kMaxTokens, " in all.");
  const int64_t first = num_blocks(length_), end = num_blocks(length_ + num_tokens);
  const int64_t needed = layout_.pages_in_pass(length_, length_ + num_tokens) - num_pages_;
  for_each_table([&](int64_t, int64_t, Table& table) {
    // Grows in steps of half its size: exact reservations would copy the table for every block.
    if (static_cast<size_t>(end) > table.pages.capacity()) table.pages.reserve(end + end / 2);
  });
  std::vector<PageId> pages;
  if (!pool_.allocate(needed, pages)) return false;
  auto next = pages.begin();
  for_each_table([&](int64_t group, int64_t kv_head, Table& table) {
    for (int64_t j = first; j < end; ++j) {
      const bool stored = layout_.stored(group, kv_head, j) && next != pages.end();
      table.pages.push_back(stored ? *next++ : kNoPage);
    }
  });
  num_pages_ += needed;
  page_changes_ += end - first;
  reserved_ = num_tokens;
  LG_DCHECK(next == pages.end());
  return true;
}

void SequenceCache::commit() {
  length_ += reserved_;
  reserved_ = 0;
  for_each_table(
      [&](int64_t group, int64_t kv_head, Table& table) { free_dead(group, kv_head, table); });
}

void SequenceCache::free_dead(int64_t group, int64_t kv_head, Table& table) {
  const Pattern& pattern = layout_.pattern(group);
  if (pattern.is_full()) return;
  const auto end = static_cast<int64_t>(table.pages.size());
  for (int64_t& j = table.oldest_in_window; j < end; ++j) {
    const bool lives_on = pattern.live(j, kv_head, std::numeric_limits<int64_t>::max());
    // Blocks that live for the window only die in order: after one that lives, all of them do.
    if (!lives_on && pattern.live(j, kv_head, length_)) return;
    if (lives_on || table.pages[j] == kNoPage) continue;
    pool_.free(table.pages[j]);
    table.pages[j] = kNoPage;
    --num_pages_;
    ++page_changes_;
  }
}

void SequenceCache::free_from(int64_t first_block) {
  for_each_table([&](int64_t, int64_t, Table& table) {
    while (static_cast<int64_t>(table.pages.size()) > first_block) {
      if (table.pages.back() != kNoPage) {
        pool_.free(table.pages.back());
        --num_pages_;
        ++page_changes_;
      }
      table.pages.pop_back();
    }
    table.oldest_in_window = std::min(table.oldest_in_window, first_block);
  });
  reserved_ = 0;
}

void SequenceCache::cancel() {
  if (reserved_ > 0) free_from(num_blocks(length_));
}

void SequenceCache::clear() {
  free_from(0);
  length_ = 0;
}

std::byte* SequenceCache::block(int64_t layer, int64_t kv_head, int64_t key_block) const {
  const KvLayout::Slot slot = layout_.slot(layer);
  const Table& table = tables_[slot.group * layout_.shape().num_kv_heads + kv_head];
  const PageId page = table.pages.at(key_block);
  LG_DCHECK(page != kNoPage);
  return pool_.address(page) + slot.index * layout_.block_bytes();
}

}  // namespace longgen
