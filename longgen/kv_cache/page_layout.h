// kv_cache/page_layout.h: how the KV cache of a model divides into pages, and how many a sequence
// needs. The pool's size, admission, metrics, the planner and the tests all ask it.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "longgen/attention/pattern.h"
#include "longgen/kv_cache/page_format.h"
#include "longgen/model/config.h"

namespace longgen {

/// Index of a page in its pool; never negative.
using PageId = int32_t;
/// Stands where no page holds a block.
inline constexpr PageId kNoPage = -1;

/// A page, and the block of tokens that it holds in a page table of a sequence: that of a group of
/// layers and a KV head, table = group * KV heads + KV head.
struct HeldPage {
  int32_t table, block;
  PageId page;
};

/// How many blocks hold the first num_tokens tokens.
constexpr int64_t num_blocks(int64_t num_tokens) {
  return (num_tokens + Pattern::kBlock - 1) / Pattern::kBlock;
}

/// What the cache must know of a model.
struct KvShape {
  int64_t num_layers;
  int64_t num_kv_heads;
  int64_t head_size;
  PageType page_type;
};

/// Layers stand in groups of G, each of one class (LayerPlan): all full, all sparse, or all with a
/// window of the family's own. A page holds K and V of
/// one block (Pattern::kBlock tokens) of one KV head for the G layers of one group, so all pages of
/// a model have one size. The last group of a class may have unused slots (padding).
///
/// G makes the fewest groups (page tables) whose padding takes at most 1/16 of what the layers
/// need, at every context length; of the sizes that make as few, it is the smallest, which needs
/// the fewest bytes at every length, because all of them make as many groups of each class. With G
/// layers a page, a class of N layers takes ceil(N / G) * G slots. No class has more live blocks
/// than the full one, which is nearly everything at long context, while all have as many as long as
/// all blocks are live. So the share lost is worst with the full class and any of the others, and
/// each such sum is held to 1/16.
/// One third full of 30 layers: G = 10, one full group and two sparse ones. 11 full of 32: G = 11,
/// one slot unused. All full: G = all layers. 1 full of 30: G = 1.
class KvLayout {
 public:
  /// Throws Error on sizes that are not positive or absurd (1 GiB a token and more), and on a plan
  /// of another number of layers.
  KvLayout(const LayerPlan& plan, const KvShape& shape);
  KvLayout(const ModelConfig& config, PageType page_type);

  /// Where K and V of a layer lie: in the pages of `group`, at `index` of G.
  struct Slot {
    int64_t group;
    int64_t index;
  };

  const KvShape& shape() const { return shape_; }
  int64_t layers_per_group() const { return layers_per_group_; }
  int64_t num_groups() const { return static_cast<int64_t>(class_of_group_.size()); }
  Slot slot(int64_t layer) const { return slots_.at(layer); }
  /// What the layers of a group see, with a stride offset for each KV head.
  const Pattern& pattern(int64_t group) const { return classes_[class_of_group_[group]].pattern; }
  /// Page tables of a sequence, numbered as in HeldPage.
  int64_t num_tables() const { return num_groups() * shape_.num_kv_heads; }
  const Pattern& pattern_of_table(int64_t table) const {
    return pattern(table / shape_.num_kv_heads);
  }
  /// Is a page that holds a block live at num_tokens tokens (Pattern::live)?
  bool live(int64_t table, int64_t block, int64_t num_tokens) const {
    return pattern_of_table(table).live(block, table % shape_.num_kv_heads, num_tokens);
  }
  /// Is it live for ever?
  bool lasting(int64_t table, int64_t block) const {
    return live(table, block, std::numeric_limits<int64_t>::max());
  }

  /// The size in bytes of K and V of one block of one KV head of one layer.
  int64_t block_bytes() const {
    return page_format(shape_.page_type).block_bytes(shape_.head_size);
  }
  int64_t page_bytes() const { return layers_per_group_ * block_bytes(); }

  /// Is a page needed for a block that is being written? With a window of at least one block
  /// (or token) always: its own tokens see it. Otherwise only where some query ever does.
  bool stored(int64_t group, int64_t kv_head, int64_t key_block) const {
    return pattern(group).keeps(key_block, key_block, kv_head);
  }

  // Token counts below are from 0 to kMaxTokens; Error otherwise.
  static constexpr int64_t kMaxTokens = int64_t{1} << 32;

  /// How many pages a sequence of num_tokens holds between two forward passes: its live blocks.
  int64_t pages_held(int64_t num_tokens) const;
  /// Pages while tokens [begin, end) pass through the layers: those held at `begin` and those of
  /// the new blocks. Dead ones are freed after the last layer only, because a query at the start of
  /// the chunk still sees blocks that are dead at its end.
  int64_t pages_in_pass(int64_t begin, int64_t end) const;
  /// The most pages a sequence takes while its tokens [begin, end) are appended `chunk` at a time
  /// (the last chunk may be shorter). A prompt of P tokens in chunks of C and then N generated ones
  /// need max(pages_peak(0, P, C), pages_peak(P, P + N, 1)). In closed form, whatever the lengths.
  int64_t pages_peak(int64_t begin, int64_t end, int64_t chunk) const;

  /// The size in bytes of pages_held(num_tokens).
  int64_t kv_bytes(int64_t num_tokens) const { return pages_held(num_tokens) * page_bytes(); }
  /// How many bytes the same model would hold if all of its layers were full.
  int64_t full_kv_bytes(int64_t num_tokens) const;

 private:
  /// Sum over groups and KV heads of count(pattern, kv_head).
  template <typename Count>
  int64_t sum_pages(const Count& count) const;

  struct LayerClass {
    Pattern pattern;
    int64_t num_groups;
  };

  KvShape shape_;
  int64_t layers_per_group_ = 0;
  std::vector<LayerClass> classes_;      // of the plan; one without layers has no group
  std::vector<int64_t> class_of_group_;  // ascending
  std::vector<Slot> slots_;              // of each layer
};

}  // namespace longgen
