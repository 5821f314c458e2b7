#include "longgen/kv_cache/resident_rows.h"

#include <ATen/ops/zeros.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;
constexpr int64_t kLeastTokens = 4096;  // of a place; a short sequence need not move every time
constexpr int64_t kAlignment = 8;       // units: 64 bytes

int64_t round_up(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

/// Room for up to a quarter more tokens, in few sizes, so that a place serves many sequences.
int64_t roomy(int64_t num_tokens) {
  const auto floor = static_cast<int64_t>(std::bit_floor(static_cast<uint64_t>(num_tokens)));
  return round_up(num_tokens, std::max(kLeastTokens, floor / 4));
}

/// How many blocks of num_tokens tokens will never be listed otherwise: they are full, and no
/// window reaches them. With a window in tokens, which no GPU has, all are listed every time.
int64_t settled_blocks(const Pattern& pattern, int64_t num_tokens) {
  const int64_t full = num_tokens / kBlock;
  if (pattern.is_full()) return full;
  if (pattern.is_window()) return 0;
  return std::max<int64_t>(0, full + 1 - std::max<int64_t>(pattern.window_blocks(), 1));
}

}  // namespace

ResidentRows::ResidentRows(const KvLayout& layout, int64_t max_rows)
    : layout_(layout), max_rows_(max_rows) {
  set_num_rows(max_rows);
  numbers_ = at::zeros({round_up(tables_.places_.end, 2 * kAlignment)}, at::kInt);
  first_ = end_ = numbers_.numel() / 2;
}

void ResidentRows::forget(const SequenceCache& cache) {
  const auto found = slots_.find(&cache);
  if (found == slots_.end()) return;
  free_[found->second.num_units].push_back(found->second.begin);
  slots_.erase(found);
  members_.clear();
}

void ResidentRows::clear() {
  slots_.clear();
  free_.clear();
  members_.clear();
  end_ = first_;
}

/// The most blocks that a table lists in a step with which a sequence has num_tokens tokens or
/// fewer: sinks, those on the stride, the window, and the one that the token begins.
int64_t ResidentRows::row_units(int64_t table, int64_t num_tokens) const {
  const Pattern& pattern = layout_.pattern_of_table(table);
  const int64_t all = num_blocks(num_tokens), stride = pattern.stride_blocks();
  if (pattern.is_full() || pattern.is_window()) return all;
  const int64_t on_stride = stride > 0 ? all / stride + 1 : 0;
  return std::min(all, pattern.sink_blocks() + on_stride + pattern.window_blocks() + 1);
}

void ResidentRows::place(Slot& slot, int64_t num_tokens) {
  if (slot.num_units > 0) free_[slot.num_units].push_back(slot.begin);
  members_.clear();
  slot = {.max_tokens = roomy(num_tokens), .rows = std::vector<Row>(layout_.num_tables())};
  int64_t units = 0;
  for (int64_t table = 0; table < layout_.num_tables(); ++table) {
    slot.rows[table].begin = units;
    units += row_units(table, slot.max_tokens);
  }
  slot.num_units = round_up(units, kAlignment);
  std::vector<int64_t>& places = free_[slot.num_units];
  if (places.empty()) {
    slot.begin = end_;
    end_ += slot.num_units;
  } else {
    slot.begin = places.back();
    places.pop_back();
  }
  for (Row& row : slot.rows) row.begin += slot.begin;
}

/// The slot of a part, with its rows as the cache is now. Null for a part without a token.
const ResidentRows::Slot* ResidentRows::listed(const PassPart& part) {
  if (part.num_tokens == 0) return nullptr;
  LG_DCHECK(part.num_tokens == 1);
  const SequenceCache& cache = *part.cache;
  Slot& slot = slots_[&cache];
  if (cache.length() + part.num_tokens > slot.max_tokens) {
    place(slot, cache.length() + part.num_tokens);
  }
  if (slot.identity == cache.identity() && slot.page_changes == cache.page_changes()) return &slot;
  for (int64_t table = 0; table < layout_.num_tables(); ++table) {
    Row& row = slot.rows[table];
    if (slot.identity != cache.identity()) row = {.begin = row.begin};
    list_row(cache, table, row);
  }
  slot.identity = cache.identity();
  slot.page_changes = cache.page_changes();
  return &slot;
}

void ResidentRows::list_row(const SequenceCache& cache, int64_t table, Row& row) {
  const int64_t kv_heads = layout_.shape().num_kv_heads;
  const std::vector<PageId>& pages = cache.pages(table / kv_heads, table % kv_heads);
  const int64_t settled = settled_blocks(layout_.pattern_of_table(table), cache.length());
  const size_t first = upload_.units.size();
  int32_t newly_settled = 0;
  for (auto j = row.settled_blocks; j < static_cast<int64_t>(pages.size()); ++j) {
    if (pages[j] == kNoPage) continue;
    upload_.units.push_back(
        PassBlock::of(pages[j], static_cast<int32_t>(j), layout_.lasting(table, j)));
    newly_settled += j < settled ? 1 : 0;
  }
  copy_to(row.begin + row.settled, first);
  row.count = row.settled + static_cast<int32_t>(upload_.units.size() - first);
  row.settled += newly_settled;
  row.settled_blocks = settled;
  row.page = pages.back();
  LG_DCHECK(row.count <= row_units(table, cache.length() + 1));
}

/// Units of the upload from first_unit on go to `place`.
void ResidentRows::copy_to(int64_t place, size_t first_unit) {
  for (size_t from = first_unit; from < upload_.units.size();) {
    const size_t count = std::min<size_t>(TablePiece::kMostUnits, upload_.units.size() - from);
    upload_.pieces.push_back(
        {static_cast<int32_t>(from), static_cast<int32_t>(place), static_cast<int32_t>(count), 0});
    from += count;
    place += static_cast<int64_t>(count);
  }
}

void ResidentRows::set_num_rows(int64_t num_rows) {
  const int64_t heads = layout_.shape().num_kv_heads, groups = layout_.num_groups();
  tables_.num_sequences_ = tables_.num_runs_ = tables_.num_rows_ = num_rows;
  tables_.num_kv_heads_ = heads;
  tables_.num_groups_ = groups;
  tables_.max_tokens_ = 1;
  PassTables::Places& places = tables_.places_;
  places.runs = 4 * num_rows;
  places.run_pages = places.runs + 4 * num_rows;
  places.row_begins = places.run_pages + groups * heads * num_rows;
  places.starts = places.row_begins + groups * heads * num_rows;
  places.tiles = places.end = places.starts + groups * (num_rows * heads + 1);
  places.blocks = 0;  // row_begins are units of the range
}

void ResidentRows::update(std::span<const PassPart> parts, int64_t num_rows) {
  const auto num_parts = static_cast<int64_t>(parts.size());
  LG_CHECK(num_parts <= num_rows && num_rows <= max_rows_, "[kv cache] ", num_parts,
           " sequences do not fit into ", num_rows, " rows of at most ", max_rows_, ".");
  upload_.pieces.clear();
  upload_.units.clear();
  std::vector<Member> members(num_rows);
  for (size_t n = 0; n < parts.size(); ++n) {
    const Slot* const slot = listed(parts[n]);
    if (slot != nullptr) members[n] = {slot, slot->page_changes};
  }
  const bool changes = members != members_;
  members_ = std::move(members);
  set_num_rows(num_rows);
  tables_.memory_ = numbers_;
  fill_positions(parts);
  if (changes) fill_pages();
  const int64_t num_numbers = changes ? tables_.places_.end : tables_.places_.run_pages;
  const size_t first = upload_.units.size();
  upload_.units.resize(first + static_cast<size_t>((num_numbers + 1) / 2));
  std::memcpy(upload_.units.data() + first, tables_.data(),
              static_cast<size_t>(num_numbers) * sizeof(int32_t));
  copy_to(0, first);
}

void ResidentRows::fill_positions(std::span<const PassPart> parts) {
  auto* const sequences = reinterpret_cast<PassSequence*>(tables_.data());
  auto* const runs = reinterpret_cast<PassRun*>(tables_.data() + tables_.places_.runs);
  for (size_t n = 0; n < members_.size(); ++n) {
    const int64_t position = members_[n].slot != nullptr ? parts[n].cache->length() : 0;
    LG_CHECK(position < std::numeric_limits<int32_t>::max() / 2,
             "[kv cache] on a GPU a sequence has at most ", std::numeric_limits<int32_t>::max() / 2,
             " tokens, found ", position, ".");
    const auto row = static_cast<int32_t>(n), at = static_cast<int32_t>(position);
    sequences[n] = {row, 1, at, 0};
    runs[n] = {row, 1, at % static_cast<int32_t>(kBlock), 0};
  }
}

void ResidentRows::fill_pages() {
  const int64_t heads = layout_.shape().num_kv_heads;
  const auto num_rows = static_cast<int64_t>(members_.size());
  int32_t* const numbers = tables_.data();
  int32_t* start = numbers + tables_.places_.starts;
  for (int64_t group = 0; group < layout_.num_groups(); ++group) {
    int32_t* const pages = numbers + tables_.places_.run_pages + group * heads * num_rows;
    int32_t* begin = numbers + tables_.places_.row_begins + group * heads * num_rows;
    int32_t blocks = 0;
    for (int64_t n = 0; n < num_rows; ++n) {
      const Slot* const slot = members_[n].slot;
      for (int64_t head = 0; head < heads; ++head) {
        const Row row = slot != nullptr ? slot->rows[group * heads + head] : Row{};
        pages[head * num_rows + n] = row.page;
        *begin++ = static_cast<int32_t>(row.begin);
        *start++ = blocks;
        blocks += row.count;
      }
    }
    *start++ = blocks;
  }
}

}  // namespace longgen
