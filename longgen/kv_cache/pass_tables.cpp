#include "longgen/kv_cache/pass_tables.h"

#include <ATen/ops/empty.h>

#include <algorithm>
#include <limits>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;

/// Blocks that the new tokens of a part stand in: [first, end).
struct NewBlocks {
  explicit NewBlocks(const PassPart& part)
      : first(part.cache->length() / kBlock),
        end((part.cache->length() + part.num_tokens + kBlock - 1) / kBlock) {}
  int64_t count() const { return std::max<int64_t>(0, end - first); }
  int64_t first, end;
};

int64_t count_blocks(const SequenceCache& cache) {
  int64_t count = 0;
  for (int64_t group = 0; group < cache.layout().num_groups(); ++group) {
    for (int64_t head = 0; head < cache.layout().shape().num_kv_heads; ++head) {
      const auto& pages = cache.pages(group, head);
      count += static_cast<int64_t>(pages.size()) -
               std::count(pages.begin(), pages.end(), SequenceCache::kNoPage);
    }
  }
  return count;
}

PassBlock* append_blocks(const SequenceCache& cache, int64_t group, int64_t head, PassBlock* to) {
  const Pattern& pattern = cache.layout().pattern(group);
  const auto& pages = cache.pages(group, head);
  for (size_t j = 0; j < pages.size(); ++j) {
    if (pages[j] == SequenceCache::kNoPage) continue;
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
  tables.fill(parts);
  return tables;
}

void PassTables::set_sizes(const std::vector<PassPart>& parts) {
  constexpr int64_t kMaxPositions = std::numeric_limits<int32_t>::max() / 2;
  num_sequences_ = static_cast<int64_t>(parts.size());
  if (parts.empty()) return;
  const KvLayout& layout = parts.front().cache->layout();
  num_kv_heads_ = layout.shape().num_kv_heads;
  num_groups_ = layout.num_groups();
  for (const PassPart& part : parts) {
    LG_CHECK(part.cache->length() + part.num_tokens <= kMaxPositions,
             "[kv cache] on a GPU a sequence has at most ", kMaxPositions, " tokens, found ",
             part.cache->length() + part.num_tokens, ".");
    num_runs_ += NewBlocks(part).count();
    num_rows_ += part.num_tokens;
    num_blocks_ += count_blocks(*part.cache);
    max_tokens_ = std::max(max_tokens_, part.num_tokens);
  }
  starts_at_ = 4 * (num_sequences_ + num_runs_) + num_groups_ * num_kv_heads_ * num_runs_;
  blocks_at_ = starts_at_ + num_groups_ * (num_sequences_ * num_kv_heads_ + 1);
  blocks_at_ += blocks_at_ % 2;  // blocks are read as 8 bytes
}

void PassTables::fill(const std::vector<PassPart>& parts) const {
  auto* sequence = const_cast<PassSequence*>(sequences());
  auto* run = const_cast<PassRun*>(runs());
  int64_t first_row = 0, run_index = 0;
  for (const PassPart& part : parts) {
    const int64_t length = part.cache->length(), end = length + part.num_tokens;
    *sequence++ = {static_cast<int32_t>(first_row), static_cast<int32_t>(part.num_tokens),
                   static_cast<int32_t>(length), 0};
    const NewBlocks blocks(part);
    for (int64_t j = blocks.first; j < blocks.end; ++j, ++run_index) {
      const int64_t from = std::max(length, j * kBlock), to = std::min(end, (j + 1) * kBlock);
      *run++ = {static_cast<int32_t>(first_row + from - length), static_cast<int32_t>(to - from),
                static_cast<int32_t>(from - j * kBlock), 0};
      for (int64_t group = 0; group < num_groups_; ++group) {
        for (int64_t head = 0; head < num_kv_heads_; ++head) {
          const_cast<int32_t*>(run_pages(group))[head * num_runs_ + run_index] =
              part.cache->pages(group, head)[j];
        }
      }
    }
    first_row += part.num_tokens;
  }
  auto* block = const_cast<PassBlock*>(blocks());
  for (int64_t group = 0; group < num_groups_; ++group) {
    auto* start = const_cast<int32_t*>(starts(group));
    for (const PassPart& part : parts) {
      for (int64_t head = 0; head < num_kv_heads_; ++head) {
        *start++ = static_cast<int32_t>(block - blocks());
        block = append_blocks(*part.cache, group, head, block);
      }
    }
    *start = static_cast<int32_t>(block - blocks());
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
