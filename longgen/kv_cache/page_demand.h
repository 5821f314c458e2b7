// kv_cache/page_demand.h: the pages of its own that a request takes beside those of a prefix that
// it shares with others, by why they are kept, and at most. Sizing, admission and metrics ask it.
#pragma once

#include <cstdint>
#include <vector>

#include "longgen/kv_cache/page_layout.h"

namespace longgen {

/// Numbers of pages by why they are kept.
struct PageKinds {
  int64_t full = 0;    ///< of full layers
  int64_t sink = 0;    ///< of blocks that every later token sees
  int64_t stride = 0;  ///< of blocks on the stride that are no sinks
  int64_t window = 0;  ///< of all other blocks: windows in blocks or in tokens, a chunk under way

  /// Those that stay as long as the request does.
  int64_t lasting() const { return full + sink + stride; }
  int64_t total() const { return lasting() + window; }
  PageKinds& operator+=(const PageKinds& other);
  PageKinds& operator-=(const PageKinds& other);
  bool operator==(const PageKinds&) const = default;
};

/// Which of the numbers counts a page.
using PageKind = int64_t PageKinds::*;

/// That of a page that holds a block of a table.
PageKind page_kind(const KvLayout& layout, int64_t table, int64_t block);

/// What is left of a request: of a prompt of `prompt_tokens`, whose first `done_tokens` are in the
/// cache, and of what follows until `end_tokens` are. Of n generated tokens n - 1 get to the cache.
struct RemainingTokens {
  int64_t done_tokens;
  int64_t prompt_tokens;
  int64_t end_tokens;
};

/// All counts are of blocks that begin at `shared_tokens` or later, a multiple of Pattern::kBlock:
/// the pages before are another owner's. With 0 shared tokens they are all pages of a sequence, and
/// those that KvLayout counts. In closed form, whatever the lengths.
class PageDemand {
 public:
  /// The layout's patterns are copied.
  explicit PageDemand(const KvLayout& layout);

  /// Pages between two forward passes.
  PageKinds held(int64_t shared_tokens, int64_t num_tokens) const {
    return in_pass(shared_tokens, num_tokens, num_tokens);
  }
  /// Pages while tokens [begin, end) pass through the layers, as KvLayout::pages_in_pass().
  /// Throws Error unless 0 <= shared_tokens <= begin <= end <= KvLayout::kMaxTokens.
  PageKinds in_pass(int64_t shared_tokens, int64_t begin, int64_t end) const;
  /// The pages of the pass that takes the most, whichever way the rest of the prompt is cut into
  /// chunks of at most `max_chunk`, all of which but the last end at multiples of Pattern::kBlock;
  /// then single tokens follow. Throws Error unless done_tokens is such a multiple while some of
  /// the prompt is left, and max_chunk is one above 0.
  PageKinds peak(int64_t shared_tokens, const RemainingTokens& rest, int64_t max_chunk) const;

  int64_t num_tables() const { return num_tables_; }
  /// Does any layer forget blocks? Otherwise all pages are lasting.
  bool has_windows() const { return has_windows_; }

 private:
  /// Blocks of `count` page tables that see the same.
  struct Table {
    Pattern pattern;
    Pattern lasting;  ///< the pattern without its window; not used where it is none
    int64_t head;
    int64_t count;

    int64_t lasting_blocks(int64_t num_blocks) const;
    PageKinds in_pass(int64_t shared_blocks, int64_t begin, int64_t end) const;
  };
  void add_class(const Pattern& pattern, int64_t num_groups, int64_t num_heads);

  std::vector<Table> tables_;
  int64_t num_tables_ = 0;
  bool has_windows_ = false;
};

}  // namespace longgen
