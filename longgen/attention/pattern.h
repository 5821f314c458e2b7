// attention/pattern.h: which keys a query sees. The one place that knows; masks, kernels, the page
// manager, the planner and the tests all ask it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace longgen {

/// Static sparse attention over blocks of kBlock tokens (LongGen, arXiv 2410.01485). Query token t
/// stands in block i = t / kBlock, key token s in block j = s / kBlock; t sees s exactly if s <= t
/// and one of these holds:
///   sink    j < sink_blocks
///   window  i - j < window_blocks
///   stride  stride_blocks > 0 and (j + stride_offsets[kv_head]) % stride_blocks == 0
/// A full pattern (window_blocks == kFullWindow) sees every s <= t. A family's own sliding window
/// (Mistral, Qwen2, Gemma) is exact in tokens: t sees s exactly if s <= t and t - s <
/// window_tokens, so that it cuts blocks at both of its edges. Positions count from the start of a
/// document. Every question is answered in closed form.
class Pattern {
 public:
  static constexpr int64_t kBlock = 64;
  static constexpr int64_t kFullWindow = -1;

  /// Makes the pattern of a full layer.
  Pattern() = default;
  /// Throws Error on negative counts, or offsets without a stride. Empty `stride_offsets` means
  /// the default for the number of KV heads, filled in by for_heads(): heads then cover all
  /// blocks between them.
  static Pattern sparse(int64_t sink_blocks, int64_t window_blocks, int64_t stride_blocks = 0,
                        std::vector<int64_t> stride_offsets = {});
  /// Makes a window that is exact in tokens. Throws Error on less than 1 token or absurdly many.
  static Pattern window(int64_t window_tokens);
  /// Makes the pattern that the numbers of the attend op mean: window_blocks == kFullWindow is a
  /// full layer, of which window_tokens > 0 leaves the last ones. Throws Error where window_tokens
  /// stands beside a sink, a stride or a window in blocks.
  static Pattern from_op(int64_t sink_blocks, int64_t window_blocks, int64_t stride_blocks,
                         std::vector<int64_t> stride_offsets, int64_t window_tokens,
                         int64_t num_kv_heads);
  /// Reads "full", "sink" (sink 1, window 16), "blocksparse" (the same with stride
  /// 16), "wide" (window 32 and stride 16), "sink=S,window=W,stride=N", or "window_tokens=N".
  static Pattern parse(std::string_view text);
  /// As parse(), where "full" and windows in tokens are refused and not named among what is
  /// expected.
  static Pattern parse_sparse(std::string_view text);

  /// This pattern with one stride offset for each KV head. Throws Error if it already has another
  /// number of them.
  Pattern for_heads(int64_t num_kv_heads) const;

  bool is_full() const { return window_blocks_ == kFullWindow && window_tokens_ == 0; }
  /// Is it a window that is exact in tokens? It has no sink, no stride, and window_blocks() is
  /// kFullWindow.
  bool is_window() const { return window_tokens_ > 0; }
  int64_t window_tokens() const { return window_tokens_; }
  int64_t sink_blocks() const { return sink_blocks_; }
  int64_t window_blocks() const { return window_blocks_; }
  int64_t stride_blocks() const { return stride_blocks_; }
  const std::vector<int64_t>& stride_offsets() const { return stride_offsets_; }

  /// Does the query token see the key token?
  bool sees(int64_t query, int64_t key, int64_t kv_head) const;
  /// Does some token of the query block see some token of the key block? In block patterns every
  /// one does, up to the causal edge inside the diagonal block.
  bool keeps(int64_t query_block, int64_t key_block, int64_t kv_head) const;
  /// Will any query at a position >= num_tokens see key_block? A page that is not live
  /// can be freed.
  bool live(int64_t key_block, int64_t kv_head, int64_t num_tokens) const;
  /// How many of the blocks that hold the first num_tokens tokens are live at num_tokens.
  int64_t live_blocks(int64_t num_tokens, int64_t kv_head) const;
  /// Gives the first of the blocks that hold the first num_tokens tokens from which on all are live
  /// at num_tokens. Blocks before it are live only where they are so for ever: sinks, those on the
  /// stride, all of a full layer. The number of blocks where there is none.
  int64_t oldest_in_window(int64_t num_tokens) const;
  /// How many (query, key) pairs of tokens queries at positions [begin, end) see.
  int64_t visited_pairs(int64_t begin, int64_t end, int64_t kv_head) const;
  /// The key blocks that a query block sees, ascending. For loops over the work of one query block.
  std::vector<int64_t> visible_blocks(int64_t query_block, int64_t kv_head) const;
  /// The key blocks that any query block in [first, last] sees, ascending.
  std::vector<int64_t> visible_blocks(int64_t first_query_block, int64_t last_query_block,
                                      int64_t kv_head) const;
  /// The key blocks that any query token in [first, last] sees, ascending: fewer than its block
  /// sees where a window in tokens has left one behind.
  std::vector<int64_t> blocks_seen(int64_t first_query, int64_t last_query, int64_t kv_head) const;

  /// Writes "full", "sink=S,window=W,stride=N" or "window_tokens=N", which parse() reads back.
  std::string to_string() const;
  bool operator==(const Pattern&) const = default;

 private:
  bool on_stride(int64_t key_block, int64_t kv_head) const;
  /// Query block i sees the blocks j with i - j < reach_blocks(); not asked of a full pattern.
  int64_t reach_blocks() const;
  /// The first key token that a window in tokens shows to a query.
  int64_t first_in_window(int64_t query) const;
  /// How many stride blocks lie in [begin, end).
  int64_t count_stride(int64_t begin, int64_t end, int64_t kv_head) const;
  int64_t pairs_before(int64_t end, int64_t kv_head) const;

  int64_t sink_blocks_ = 0;
  int64_t window_blocks_ = kFullWindow;
  int64_t stride_blocks_ = 0;
  std::vector<int64_t> stride_offsets_;
  int64_t window_tokens_ = 0;
};

}  // namespace longgen
