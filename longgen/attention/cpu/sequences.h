// attention/cpu/sequences.h: how the rows of one call divide into sequences and tiles, and
// where keys lie.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

#include "longgen/attention/cpu/tile_kernels.h"
#include "longgen/attention/pattern.h"

namespace longgen::cpu {

/// A buffer of floats, 64-byte aligned and not initialised.
class Floats {
 public:
  explicit Floats(int64_t count);
  float* data() const { return memory_.get(); }

 private:
  struct Free {
    void operator()(float* memory) const { std::free(memory); }
  };
  std::unique_ptr<float, Free> memory_;
};

/// Query rows [first_row, first_row + num_rows) stand at positions first_position, first_position +
/// 1, ... of one sequence whose keys are positions 0 to first_position + num_rows - 1.
struct Sequence {
  int64_t first_row;
  int64_t num_rows;
  int64_t first_position;

  int64_t num_keys() const { return first_position + num_rows; }
  int64_t num_key_blocks() const { return (num_keys() + Pattern::kBlock - 1) / Pattern::kBlock; }
};

/// One block of up to Pattern::kBlock keys of one KV head.
struct KeyBlock {
  RowsIn
      keys_transposed;  // (D, kBlock): a column is a key; columns past the last key hold anything
  RowsIn values;        // (kBlock, D padded): only rows of real keys are read
};

/// Tells where the keys of a call lie: a dense tensor, or the pages of a cache.
class KeyBlockSource {
 public:
  virtual ~KeyBlockSource() = default;
  virtual KeyBlock block(int64_t sequence, int64_t kv_head, int64_t key_block) const = 0;
};

/// Query tokens of one sequence that stand in one query block, with the query heads of one KV head:
/// the unit of work. Row r of the tile is token r / group, head kv_head * group + r % group.
struct Tile {
  int64_t sequence;
  int64_t kv_head;
  int64_t first_row;  // of q
  int64_t num_tokens;
  int64_t first_position;

  int64_t query_block() const { return first_position / Pattern::kBlock; }
  int64_t last_position() const { return first_position + num_tokens - 1; }
  /// Keys of `key_block` that stand before the end of the tile.
  int64_t num_keys(int64_t key_block) const;
};

/// Tiles of one sequence and KV head, in order of position.
std::vector<Tile> make_tiles(const Sequence& sequence, int64_t sequence_index, int64_t kv_head,
                             int64_t group);

/// The key blocks that some token of the tile sees, ascending.
std::vector<int64_t> blocks_seen(const Tile& tile, const Pattern& pattern);

/// Sets the scores (rows, columns) of a block that the tile sees to -inf where the key stands after
/// the query, or before the window in tokens that the pattern may be.
void mask_unseen(const Tile& tile, int64_t key_block, const Pattern& pattern, int64_t group,
                 Rows scores, int64_t columns);

/// The sequences of the attend op: one with S >= T, or packed documents.
std::vector<Sequence> make_sequences(int64_t num_queries, int64_t num_keys,
                                     const at::Tensor& doc_starts);

/// Rows of one head of a (T, heads, D) tensor; the tensor's last axis is contiguous.
RowsIn head_rows(const at::Tensor& x_THD, int64_t row, int64_t head);

/// Keys and values of dense (S, K, D) tensors, prepared once for all their readers: transposed,
/// padded, in fp32. Only blocks that some query sees are prepared.
class DenseKeyBlocks : public KeyBlockSource {
 public:
  /// The backward pass needs keys as they are and values transposed, the forward pass values
  /// as they are.
  enum class For { kForward, kBackward };
  DenseKeyBlocks(const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                 const std::vector<Sequence>& sequences, const Pattern& pattern, For purpose);
  KeyBlock block(int64_t sequence, int64_t kv_head, int64_t key_block) const override;
  /// (kBlock, D padded), kBackward only.
  RowsIn keys(int64_t sequence, int64_t kv_head, int64_t key_block) const;
  /// (D padded, kBlock), kBackward only.
  RowsIn values_transposed(int64_t sequence, int64_t kv_head, int64_t key_block) const;

 private:
  const float* slot(int64_t sequence, int64_t kv_head, int64_t key_block) const;
  int64_t panel_floats() const { return Pattern::kBlock * head_size_padded_; }

  int64_t num_kv_heads_;
  int64_t head_size_padded_;
  int64_t panels_;                    // matrices per block: 2 forward, 3 backward
  std::vector<int64_t> first_block_;  // of each sequence
  std::vector<int32_t> slots_;        // (block, kv_head) -> slot, -1 where no query sees it
  std::unique_ptr<Floats> memory_;
};

}  // namespace longgen::cpu
