// tests/unit/kv_cache/brute_force.h: what the closed forms of KvLayout must give, by counting.
#pragma once

#include <algorithm>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "longgen/kv_cache/page_layout.h"

namespace longgen {

inline int64_t blocks_of(int64_t num_tokens) {
  return (num_tokens + Pattern::kBlock - 1) / Pattern::kBlock;
}

/// Whether a token at num_tokens or later will see the block. By the definition: asks for the next
/// query blocks one by one. `horizon` of them are enough where it exceeds the window. A window in
/// tokens cuts blocks: each key of the block is asked whether the next token that could see it
/// does.
inline bool seen_later(const Pattern& pattern, int64_t key_block, int64_t kv_head,
                       int64_t num_tokens, int64_t horizon) {
  if (pattern.is_window()) {
    for (int64_t key = key_block * Pattern::kBlock; key < (key_block + 1) * Pattern::kBlock;
         ++key) {
      if (pattern.sees(std::max(num_tokens, key), key, kv_head)) return true;
    }
    return false;
  }
  const int64_t first = num_tokens / Pattern::kBlock;
  for (int64_t i = first; i <= std::max(first, key_block) + horizon; ++i) {
    if (pattern.keeps(i, key_block, kv_head)) return true;
  }
  return false;
}

/// Counts pages while tokens [begin, end) pass the layers (begin == end: between two passes).
inline int64_t count_pages(const KvLayout& layout, int64_t begin, int64_t end) {
  constexpr int64_t kHorizon = 40;  // the tests' windows are shorter
  int64_t pages = 0;
  for (int64_t group = 0; group < layout.num_groups(); ++group) {
    for (int64_t head = 0; head < layout.shape().num_kv_heads; ++head) {
      for (int64_t j = 0; j < blocks_of(end); ++j) {
        // A block that `begin` tokens have reached is there if it is live; a later one if its own
        // tokens see it.
        const int64_t from = j < blocks_of(begin) ? begin : j * Pattern::kBlock;
        if (seen_later(layout.pattern(group), j, head, from, kHorizon)) ++pages;
      }
    }
  }
  return pages;
}

/// Gives every layer that is not full the pattern, which may be a window in tokens.
inline LayerPlan plan_of(int64_t num_layers, const std::vector<int64_t>& full_layers,
                         const std::string& pattern) {
  const Pattern parsed = Pattern::parse(pattern);
  if (!parsed.is_window()) return LayerPlan::hybrid(num_layers, full_layers, parsed);
  const LayerPlan sparse = LayerPlan::hybrid(num_layers, full_layers, Pattern::sparse(1, 16));
  return sparse.with_windows(sparse.layers_of_class(LayerPlan::kSparse), parsed.window_tokens());
}

/// Two layers in six are full, two sparse, and two have windows.
inline LayerPlan three_classes(const std::string& sparse, int64_t window_tokens) {
  return plan_of(6, {1, 4}, sparse).with_windows({0, 3}, window_tokens);
}

inline const std::vector<std::string>& sparse_patterns() {
  static const std::vector<std::string> patterns = {
      "sink",
      "blocksparse",
      "sink=0,window=1,stride=0",
      "sink=2,window=3,stride=0",
      "sink=1,window=2,stride=5",
      "sink=0,window=4,stride=1",
      "window_tokens=1",
      "window_tokens=64",
      "window_tokens=100",
      "window_tokens=512",
  };
  return patterns;
}

}  // namespace longgen
