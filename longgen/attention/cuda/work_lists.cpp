#include "longgen/attention/cuda/work_lists.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>

#include "longgen/base/check.h"

namespace longgen::cuda {
namespace {

// Pieces are at least this many query blocks long; and about this many for each of the 132
// multiprocessors of an H100 in all: the last ones to finish are then a small share.
constexpr int64_t kLeastPiece = 64;
constexpr int64_t kMostPieces = 132 * 4;

int64_t length_of(const KeyItem& item) { return item.end_query - item.first_query; }

/// The pairs of one sequence and KV head, uncut.
std::vector<KeyItem> make_pairs(const SequenceRows& rows, const Pattern& pattern, int sequence,
                                int kv_head) {
  const int first_query = rows.begin / kBlock, end_query = (rows.end + kBlock - 1) / kBlock;
  std::vector<KeyItem> pairs;
  std::array<std::optional<KeyItem>, 2> open;  // half pairs of short and of long columns
  for (int block = 0; block < end_query; ++block) {
    const bool lasting = pattern.live(block, kv_head, std::numeric_limits<int64_t>::max());
    const int first = std::max(block, first_query);
    const int64_t seen =
        lasting ? end_query : std::min<int64_t>(end_query, block + pattern.window_blocks());
    const int end = std::max(first, static_cast<int>(seen));
    std::optional<KeyItem>& pair = open[lasting];
    if (pair) {
      pair->blocks[1] = block;
      pair->end_query = std::max(pair->end_query, end);
      pairs.push_back(*pair);
      pair.reset();
    } else {
      pair = {sequence, kv_head, {block, -1}, first, end, -1};
    }
  }
  // A long column without a partner would leave one warpgroup without work.
  if (open[true]) open[true]->blocks[1] = open[true]->blocks[0];
  for (const std::optional<KeyItem>& pair : open) {
    if (pair) pairs.push_back(*pair);
  }
  return pairs;
}

void add_pieces(const KeyItem& pair, int64_t piece, KeyWork& work) {
  const int64_t length = length_of(pair);
  if (length <= piece && !pair.is_shared()) {
    work.items.push_back(pair);
    return;
  }
  const int64_t count = (length + piece - 1) / piece;
  const int num_pieces = static_cast<int>(count), first = 2 * work.num_slots;
  if (pair.is_shared()) {
    work.sums.push_back({pair.sequence, pair.kv_head, pair.blocks[0], first, 2 * num_pieces, 1});
  } else {
    for (int half = 0; half < 2; ++half) {
      if (pair.blocks[half] < 0) continue;
      work.sums.push_back(
          {pair.sequence, pair.kv_head, pair.blocks[half], first + half, num_pieces, 2});
    }
  }
  for (int64_t i = 0; i < count; ++i) {
    KeyItem item = pair;
    item.first_query = static_cast<int>(pair.first_query + i * length / count);
    item.end_query = static_cast<int>(pair.first_query + (i + 1) * length / count);
    item.slot = work.num_slots++;
    work.items.push_back(item);
  }
}

}  // namespace

BlockPattern block_pattern(const Pattern& pattern) {
  constexpr int64_t kLargest = int64_t{1} << 24;  // blocks: more than any call has
  LG_CHECK(!pattern.is_window(),
           "[attend] on a GPU there are no sliding windows exact in tokens, "
           "found window_tokens ",
           pattern.window_tokens(), ". Use --device cpu.");
  const auto clamped = [&](int64_t value) { return static_cast<int>(std::min(value, kLargest)); };
  const auto num_offsets = static_cast<int64_t>(pattern.stride_offsets().size());
  LG_CHECK(
      pattern.stride_blocks() <= std::numeric_limits<int16_t>::max() && num_offsets <= kMaxKvHeads,
      "[attend] on a GPU stride_blocks must be at most ", std::numeric_limits<int16_t>::max(),
      ", found ", pattern.stride_blocks(), ", and there must be at most ", kMaxKvHeads,
      " stride offsets, found ", num_offsets, ".");
  BlockPattern result = {};
  result.sink_blocks = clamped(pattern.sink_blocks());
  result.window_blocks =
      pattern.is_full() ? static_cast<int>(kLargest) : clamped(pattern.window_blocks());
  result.stride_blocks = static_cast<int>(pattern.stride_blocks());
  for (int64_t head = 0; head < num_offsets; ++head) {
    result.stride_offsets[head] = static_cast<int16_t>(pattern.stride_offsets()[head]);
  }
  return result;
}

QueryWork make_query_work(int64_t num_queries, int64_t num_keys,
                          std::span<const int64_t> doc_starts) {
  QueryWork work;
  if (doc_starts.empty()) {
    const auto begin = static_cast<int>(num_keys - num_queries);
    work.sequences.push_back({begin, static_cast<int>(num_keys), -begin, 0, 0});
  }
  for (size_t d = 0; d < doc_starts.size(); ++d) {
    const int64_t end = d + 1 < doc_starts.size() ? doc_starts[d + 1] : num_queries;
    const auto start = static_cast<int>(doc_starts[d]);
    work.sequences.push_back({0, static_cast<int>(end - doc_starts[d]), start, start, 0});
  }
  for (size_t s = 0; s < work.sequences.size(); ++s) {
    SequenceRows& sequence = work.sequences[s];
    const int first_tile = sequence.begin / kTileRows;
    sequence.first_block = 2 * (static_cast<int>(work.tiles.size()) - first_tile);
    for (int tile = first_tile; tile * kTileRows < sequence.end; ++tile) {
      work.tiles.push_back({static_cast<int>(s), tile});
    }
  }
  return work;
}

KeyWork make_key_work(const std::vector<SequenceRows>& sequences, const Pattern& pattern,
                      int num_kv_heads) {
  std::vector<KeyItem> pairs;
  int64_t total = 0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    for (int head = 0; head < num_kv_heads; ++head) {
      for (const KeyItem& pair : make_pairs(sequences[s], pattern, static_cast<int>(s), head)) {
        pairs.push_back(pair);
        total += length_of(pair);
      }
    }
  }
  const int64_t piece = std::max(kLeastPiece, (total + kMostPieces - 1) / kMostPieces);
  KeyWork work;
  for (const KeyItem& pair : pairs) add_pieces(pair, piece, work);
  std::stable_sort(work.items.begin(), work.items.end(),
                   [](const KeyItem& a, const KeyItem& b) { return length_of(a) > length_of(b); });
  return work;
}

}  // namespace longgen::cuda
