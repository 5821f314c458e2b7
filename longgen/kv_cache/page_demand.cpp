#include "longgen/kv_cache/page_demand.h"

#include <algorithm>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;

}  // namespace

PageKinds& PageKinds::operator+=(const PageKinds& other) {
  full += other.full;
  sink += other.sink;
  stride += other.stride;
  window += other.window;
  return *this;
}

PageKinds& PageKinds::operator-=(const PageKinds& other) {
  full -= other.full;
  sink -= other.sink;
  stride -= other.stride;
  window -= other.window;
  return *this;
}

PageKind page_kind(const KvLayout& layout, int64_t table, int64_t block) {
  const Pattern& pattern = layout.pattern_of_table(table);
  if (pattern.is_full()) return &PageKinds::full;
  if (!layout.lasting(table, block)) return &PageKinds::window;
  return block < pattern.sink_blocks() ? &PageKinds::sink : &PageKinds::stride;
}

PageDemand::PageDemand(const KvLayout& layout) {
  const int64_t num_groups = layout.num_groups();
  num_tables_ = layout.num_tables();
  for (int64_t first = 0; first < num_groups;) {
    const Pattern& pattern = layout.pattern(first);
    int64_t end = first + 1;
    while (end < num_groups && layout.pattern(end) == pattern) ++end;
    add_class(pattern, end - first, layout.shape().num_kv_heads);
    first = end;
  }
}

void PageDemand::add_class(const Pattern& pattern, int64_t num_groups, int64_t num_heads) {
  has_windows_ = has_windows_ || (!pattern.is_full() && pattern.window_blocks() != 0);
  if (pattern.is_full() || pattern.is_window()) {
    tables_.push_back({pattern, pattern, 0, num_groups * num_heads});
    return;
  }
  const Pattern lasting =
      Pattern::sparse(pattern.sink_blocks(), 0, pattern.stride_blocks(), pattern.stride_offsets());
  if (pattern.stride_blocks() == 0) {  // all heads see the same
    tables_.push_back({pattern, lasting, 0, num_groups * num_heads});
    return;
  }
  for (int64_t head = 0; head < num_heads; ++head) {
    tables_.push_back({pattern, lasting, head, num_groups});
  }
}

/// How many of the first blocks every later token sees.
int64_t PageDemand::Table::lasting_blocks(int64_t num_blocks) const {
  if (pattern.is_full()) return num_blocks;
  if (pattern.is_window()) return 0;
  return lasting.live_blocks(num_blocks * kBlock, head);
}

PageKinds PageDemand::Table::in_pass(int64_t shared_blocks, int64_t begin, int64_t end) const {
  const int64_t end_blocks = num_blocks(end);
  PageKinds pages;
  if (pattern.is_full()) {
    pages.full = count * (end_blocks - shared_blocks);
    return pages;
  }
  const int64_t sinks = pattern.sink_blocks();
  pages.sink = count * (std::min(sinks, end_blocks) - std::min(sinks, shared_blocks));
  pages.stride = count * (lasting_blocks(end_blocks) - lasting_blocks(shared_blocks)) - pages.sink;
  if (pattern.window_blocks() == 0) return pages;  // other blocks are never stored
  const int64_t near = std::clamp(pattern.oldest_in_window(begin), shared_blocks, end_blocks);
  pages.window = count * (end_blocks - near - (lasting_blocks(end_blocks) - lasting_blocks(near)));
  return pages;
}

PageKinds PageDemand::in_pass(int64_t shared_tokens, int64_t begin, int64_t end) const {
  LG_CHECK(shared_tokens >= 0 && shared_tokens % kBlock == 0 && shared_tokens <= begin &&
               begin <= end && end <= KvLayout::kMaxTokens,
           "[kv cache] tokens ", begin, " to ", end, " after ", shared_tokens,
           " shared ones are not a range: expected a multiple of ", kBlock,
           " of shared ones, and numbers that ascend to at most ", KvLayout::kMaxTokens, ".");
  PageKinds pages;
  for (const Table& table : tables_) pages += table.in_pass(shared_tokens / kBlock, begin, end);
  return pages;
}

PageKinds PageDemand::peak(int64_t shared_tokens, const RemainingTokens& rest,
                           int64_t max_chunk) const {
  LG_CHECK(max_chunk > 0 && max_chunk % kBlock == 0, "[kv cache] expected chunks of a multiple of ",
           kBlock, " tokens, found ", max_chunk, ".");
  LG_CHECK(rest.done_tokens >= rest.prompt_tokens || rest.done_tokens % kBlock == 0, "[kv cache] ",
           rest.done_tokens, " tokens of a prompt of ", rest.prompt_tokens,
           " are done: expected a multiple of ", kBlock, ".");
  PageKinds peak = held(shared_tokens, rest.done_tokens);
  const auto consider = [&](int64_t begin, int64_t end) {
    const PageKinds pages = in_pass(shared_tokens, begin, end);
    if (pages.total() > peak.total()) peak = pages;
  };
  // At multiples of a block the blocks that are held grow with the tokens before, by one for each
  // block at most. So of chunks of one length the last one takes the most, and a chunk that ends
  // the prompt takes the more the longer it is.
  if (rest.done_tokens < rest.prompt_tokens) {
    const int64_t last = num_blocks(rest.prompt_tokens) * kBlock - max_chunk;
    consider(std::max(rest.done_tokens, last), rest.prompt_tokens);
  }
  // A single token takes as many pages as the one a block before it, or more.
  const int64_t first = std::max(rest.done_tokens, rest.prompt_tokens);
  for (int64_t token = std::max(first, rest.end_tokens - kBlock); token < rest.end_tokens;
       ++token) {
    consider(token, token + 1);
  }
  return peak;
}

}  // namespace longgen
