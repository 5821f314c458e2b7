#include "longgen/tokenizer/merge_symbols.h"

#include <algorithm>
#include <array>
#include <queue>
#include <vector>

namespace longgen {
namespace {

// Up to here scanning all ranks for the lowest beats a heap. Measured with SmolLM2's merges on runs
// of letters: 22 against 44 ns a symbol at 8, 61 against 66 at 128, 86 against 73 at 256.
constexpr size_t kMaxScanned = 128;

size_t merge_by_scanning(std::span<int32_t> symbols, const PairTable& merges) {
  std::array<uint32_t, kMaxScanned> ranks;
  std::array<int32_t, kMaxScanned> results;
  size_t count = symbols.size();
  const auto look_up = [&](size_t i) {
    const PairTable::Merge merge = merges.find(symbols[i], symbols[i + 1]);
    ranks[i] = merge.rank;
    results[i] = merge.id;
  };
  for (size_t i = 0; i + 1 < count; ++i) look_up(i);
  while (count > 1) {
    const auto* const lowest = std::min_element(ranks.data(), ranks.data() + count - 1);
    if (*lowest == PairTable::kNone) break;
    const auto i = static_cast<size_t>(lowest - ranks.data());
    symbols[i] = results[i];
    std::copy(symbols.begin() + static_cast<ptrdiff_t>(i) + 2,
              symbols.begin() + static_cast<ptrdiff_t>(count),
              symbols.begin() + static_cast<ptrdiff_t>(i) + 1);
    if (i + 2 < count) {
      std::copy(ranks.data() + i + 2, ranks.data() + count - 1, ranks.data() + i + 1);
      std::copy(results.data() + i + 2, results.data() + count - 1, results.data() + i + 1);
    }
    --count;
    if (i > 0) look_up(i - 1);
    if (i + 1 < count) look_up(i);
  }
  return count;
}

/// The symbols as a linked list, with the possible merges in a heap. An entry is stale when its
/// position has another rank by now; each merge makes at most two new entries.
class HeapMerger {
 public:
  HeapMerger(std::span<int32_t> symbols, const PairTable& merges)
      : symbols_(symbols), merges_(merges), nodes_(symbols.size()) {}

  size_t run() {
    const auto count = static_cast<uint32_t>(symbols_.size());
    for (uint32_t i = 0; i < count; ++i)
      nodes_[i] = {i == 0 ? kEnd : i - 1, i + 1 < count ? i + 1 : kEnd, {}};
    std::vector<Entry> entries;
    for (uint32_t i = 0; i < count; ++i) {
      if (look_up(i)) entries.push_back({nodes_[i].merge.rank, i});
    }
    heap_ = Heap(std::greater<>{}, std::move(entries));
    while (!heap_.empty()) {
      const Entry top = heap_.top();
      heap_.pop();
      if (nodes_[top.position].merge.rank == top.rank) merge(top.position);
    }
    return gather();
  }

 private:
  static constexpr uint32_t kEnd = UINT32_MAX;
  struct Node {
    uint32_t previous, next;
    PairTable::Merge merge{PairTable::kNone, 0};  // with the next one
  };
  struct Entry {
    uint32_t rank, position;
    auto operator<=>(const Entry&) const = default;
  };
  using Heap = std::priority_queue<Entry, std::vector<Entry>, std::greater<>>;

  bool look_up(uint32_t i) {
    Node& node = nodes_[i];
    node.merge = node.next == kEnd ? PairTable::Merge{PairTable::kNone, 0}
                                   : merges_.find(symbols_[i], symbols_[node.next]);
    return node.merge.rank != PairTable::kNone;
  }

  void merge(uint32_t i) {
    const uint32_t gone = nodes_[i].next;
    symbols_[i] = nodes_[i].merge.id;
    nodes_[i].next = nodes_[gone].next;
    nodes_[gone].merge.rank = PairTable::kNone;
    if (nodes_[i].next != kEnd) nodes_[nodes_[i].next].previous = i;
    if (look_up(i)) heap_.push({nodes_[i].merge.rank, i});
    const uint32_t before = nodes_[i].previous;
    if (before != kEnd && look_up(before)) heap_.push({nodes_[before].merge.rank, before});
  }

  size_t gather() {
    size_t count = 0;
    for (uint32_t i = 0; i != kEnd; i = nodes_[i].next) symbols_[count++] = symbols_[i];
    return count;
  }

  std::span<int32_t> symbols_;
  const PairTable& merges_;
  std::vector<Node> nodes_;
  Heap heap_;
};

}  // namespace

size_t merge_symbols(std::span<int32_t> symbols, const PairTable& merges) {
  if (symbols.size() < 2) return symbols.size();
  if (symbols.size() <= kMaxScanned) return merge_by_scanning(symbols, merges);
  return HeapMerger(symbols, merges).run();
}

}  // namespace longgen
