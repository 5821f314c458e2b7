#include "longgen/kv_cache/pass_tables.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <limits>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;

/// The blocks, or tiles, of `size` positions that the new tokens of a part stand in: [first, end).
struct NewPieces {
  NewPieces(const PassPart& part, int64_t size)
      : first(part.cache->length() / size),
        end(part.num_tokens > 0 ? (part.cache->length() + part.num_tokens - 1) / size + 1 : first) {
  }
  int64_t first, end;
};

NewPieces new_blocks(const PassPart& part) { return {part, kBlock}; }
NewPieces new_tiles(const PassPart& part) { return {part, cuda::kTileRows}; }

int64_t count_blocks(const SequenceCache& cache) {
  int64_t count = 0;
  for (int64_t group = 0; group < cache.layout().num_groups(); ++group) {
    for (int64_t head = 0; head < cache.layout().shape().num_kv_heads; ++head) {
      const auto& pages = cache.pages(group, head);
      count += static_cast<int64_t>(pages.size()) - std::count(pages.begin(), pages.end(), kNoPage);
    }
  }
  return count;
}

PassBlock* append_blocks(const SequenceCache& cache, int64_t group, int64_t head, PassBlock* to) {
  const Pattern& pattern = cache.layout().pattern(group);
  const auto& pages = cache.pages(group, head);
  for (size_t j = 0; j < pages.size(); ++j) {
    if (pages[j] == kNoPage) continue;
    const bool lives_on =
        pattern.live(static_cast<int64_t>(j), head, std::numeric_limits<int64_t>::max());
    *to++ = PassBlock::of(pages[j], static_cast<int32_t>(j), lives_on);
  }
  return to;
}

}  // namespace

PassTables PassTables::make(const std::vector<PassPart>& parts, bool pinned) {
  PassTables tables;
  tables.set_sizes(parts);
  LG_CHECK(tables.num_values() <= std::numeric_limits<int32_t>::max() / 2,
           "[kv cache] the page tables of one pass on a GPU would have ", tables.num_values(),
           " numbers. Pass fewer sequences at once.");
  tables.memory_ =
      at::empty({tables.num_values()}, at::TensorOptions().dtype(at::kInt).pinned_memory(pinned));
  tables.fill_rows(parts);
  tables.fill_tiles(parts);
  tables.fill_blocks(parts);
  return tables;
}

void PassTables::set_sizes(const std::vector<PassPart>& parts) {
  constexpr int64_t kMaxPositions = std::numeric_limits<int32_t>::max() / 2;
  num_sequences_ = static_cast<int64_t>(parts.size());
  if (parts.empty()) return;
  const KvLayout& layout = parts.front().cache->layout();
  num_kv_heads_ = layout.shape().num_kv_heads;
  num_groups_ = layout.num_groups();
  int64_t num_blocks = 0;
  for (const PassPart& part : parts) {
    LG_CHECK(part.cache->length() + part.num_tokens <= kMaxPositions,
             "[kv cache] on a GPU a sequence has at most ", kMaxPositions, " tokens, found ",
             part.cache->length() + part.num_tokens, ".");
    num_runs_ += new_blocks(part).end - new_blocks(part).first;
    num_tiles_ += new_tiles(part).end - new_tiles(part).first;
    num_rows_ += part.num_tokens;
    num_blocks += count_blocks(*part.cache);
    max_tokens_ = std::max(max_tokens_, part.num_tokens);
  }
  places_.runs = 4 * num_sequences_;
  places_.run_pages = places_.runs + 4 * num_runs_;
  places_.starts = places_.run_pages + num_groups_ * num_kv_heads_ * num_runs_;
  places_.tiles = places_.starts + num_groups_ * (num_sequences_ * num_kv_heads_ + 1);
  places_.tiles += places_.tiles % 2;  // tiles and blocks are read as 8 bytes
  places_.blocks = places_.tiles + 2 * num_tiles_;
  places_.end = places_.blocks + 2 * num_blocks;
}

void PassTables::fill_rows(const std::vector<PassPart>& parts) const {
  auto* sequence = reinterpret_cast<PassSequence*>(data());
  auto* run = reinterpret_cast<PassRun*>(data() + places_.runs);
  int64_t first_row = 0;
  for (const PassPart& part : parts) {
    const int64_t length = part.cache->length(), end = length + part.num_tokens;
    *sequence++ = {static_cast<int32_t>(first_row), static_cast<int32_t>(part.num_tokens),
                   static_cast<int32_t>(length), 0};
    const NewPieces blocks = new_blocks(part);
    for (int64_t j = blocks.first; j < blocks.end; ++j) {
      const int64_t from = std::max(length, j * kBlock), to = std::min(end, (j + 1) * kBlock);
      *run++ = {static_cast<int32_t>(first_row + from - length), static_cast<int32_t>(to - from),
                static_cast<int32_t>(from - j * kBlock), 0};
    }
    first_row += part.num_tokens;
  }
}

void PassTables::fill_tiles(const std::vector<PassPart>& parts) const {
  auto* tile = reinterpret_cast<cuda::TileOfRows*>(data() + places_.tiles);
  for (size_t n = 0; n < parts.size(); ++n) {
    const NewPieces tiles = new_tiles(parts[n]);
    for (int64_t index = tiles.first; index < tiles.end; ++index) {
      *tile++ = {static_cast<int>(n), static_cast<int>(index)};
    }
  }
}

void PassTables::fill_blocks(const std::vector<PassPart>& parts) const {
  int32_t* run_page = data() + places_.run_pages;
  int32_t* start = data() + places_.starts;
  auto* const first = reinterpret_cast<PassBlock*>(data() + places_.blocks);
  PassBlock* block = first;
  for (int64_t group = 0; group < num_groups_; ++group) {
    for (int64_t head = 0; head < num_kv_heads_; ++head) {
      for (const PassPart& part : parts) {
        const NewPieces blocks = new_blocks(part);
        const auto& pages = part.cache->pages(group, head);
        run_page = std::copy(pages.begin() + blocks.first, pages.begin() + blocks.end, run_page);
      }
    }
    for (const PassPart& part : parts) {
      for (int64_t head = 0; head < num_kv_heads_; ++head) {
        *start++ = static_cast<int32_t>(block - first);
        block = append_blocks(*part.cache, group, head, block);
      }
    }
    *start++ = static_cast<int32_t>(block - first);
  }
}

PassTables PassTables::at(const at::Tensor& memory) const {
  PassTables result = *this;
  result.memory_ = memory;
  return result;
}

PassTables PassTables::to(at::Device device) const {
  return at(memory_.to(device, /*non_blocking=*/true));
}

}  // namespace longgen
