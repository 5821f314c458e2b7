#include "longgen/attention/cpu/sequences.h"

#include <algorithm>
#include <limits>
#include <new>

#include "longgen/attention/cpu/items.h"

namespace longgen::cpu {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;
// Rows of a tile: enough to hide the loads of a key block, few enough that scores and outputs stay
// in the second-level cache (256 rows x 64 keys x 4 bytes = 64 KiB).
constexpr int64_t kMaxTileRows = 256;

}  // namespace

Floats::Floats(int64_t count) {
  const size_t bytes =
      (static_cast<size_t>(std::max<int64_t>(count, 1)) * sizeof(float) + 63) / 64 * 64;
  memory_.reset(static_cast<float*>(std::aligned_alloc(64, bytes)));
  if (memory_ == nullptr) throw std::bad_alloc();
}

int64_t Tile::num_keys(int64_t key_block) const {
  return std::min(kBlock, first_position + num_tokens - key_block * kBlock);
}

std::vector<Tile> make_tiles(const Sequence& sequence, int64_t sequence_index, int64_t kv_head,
                             int64_t group) {
  int64_t tile_tokens = kBlock;
  while (tile_tokens > 1 && tile_tokens * group > kMaxTileRows) tile_tokens /= 2;
  std::vector<Tile> tiles;
  for (int64_t row = 0; row < sequence.num_rows;) {
    const int64_t position = sequence.first_position + row;
    const int64_t count = std::min(tile_tokens - position % tile_tokens, sequence.num_rows - row);
    tiles.push_back({sequence_index, kv_head, sequence.first_row + row, count, position});
    row += count;
  }
  return tiles;
}

std::vector<int64_t> blocks_seen(const Tile& tile, const Pattern& pattern) {
  return pattern.blocks_seen(tile.first_position, tile.last_position(), tile.kv_head);
}

void mask_unseen(const Tile& tile, int64_t key_block, const Pattern& pattern, int64_t group,
                 Rows scores, int64_t columns) {
  constexpr float kUnseen = -std::numeric_limits<float>::infinity();
  const int64_t first_key = key_block * kBlock;
  const bool is_diagonal = key_block == tile.query_block();
  const bool is_cut = pattern.is_window() && !pattern.sees(tile.last_position(), first_key, 0);
  if (!is_diagonal && !is_cut) return;
  for (int64_t r = 0; r < tile.num_tokens * group; ++r) {
    float* const row = scores.data + r * scores.row;
    const int64_t query = tile.first_position + r / group;
    if (is_diagonal) std::fill(row + query - first_key + 1, row + columns, kUnseen);
    if (!is_cut) continue;
    const int64_t too_old = query - pattern.window_tokens() + 1 - first_key;
    std::fill_n(row, std::clamp<int64_t>(too_old, 0, columns), kUnseen);
  }
}

std::vector<Sequence> make_sequences(int64_t num_queries, int64_t num_keys,
                                     const at::Tensor& doc_starts) {
  if (!doc_starts.defined()) return {{0, num_queries, num_keys - num_queries}};
  std::vector<Sequence> sequences;
  const int64_t* starts = doc_starts.const_data_ptr<int64_t>();
  for (int64_t d = 0; d < doc_starts.numel(); ++d) {
    const int64_t end = d + 1 < doc_starts.numel() ? starts[d + 1] : num_queries;
    sequences.push_back({starts[d], end - starts[d], 0});
  }
  return sequences;
}

RowsIn head_rows(const at::Tensor& x_THD, int64_t row, int64_t head) {
  const auto* bytes = static_cast<const char*>(x_THD.const_data_ptr());
  const int64_t offset = row * x_THD.stride(0) + head * x_THD.stride(1);
  return {bytes + offset * x_THD.element_size(), x_THD.stride(0),
          x_THD.scalar_type() == at::kBFloat16};
}

DenseKeyBlocks::DenseKeyBlocks(const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                               const std::vector<Sequence>& sequences, const Pattern& pattern,
                               For purpose)
    : num_kv_heads_(k_SKD.size(1)),
      head_size_padded_(padded(k_SKD.size(2))),
      panels_(purpose == For::kForward ? 2 : 3) {
  struct Item {
    int64_t first_key;
    int64_t num_keys;
    int64_t kv_head;
  };
  std::vector<Item> items;
  int64_t num_blocks = 0;
  for (const Sequence& sequence : sequences) {
    first_block_.push_back(num_blocks);
    num_blocks += sequence.num_key_blocks();
  }
  slots_.assign(num_blocks * num_kv_heads_, -1);
  for (size_t s = 0; s < sequences.size(); ++s) {
    const Sequence& sequence = sequences[s];
    if (sequence.num_rows == 0) continue;
    for (int64_t head = 0; head < num_kv_heads_; ++head) {
      for (int64_t j :
           pattern.blocks_seen(sequence.first_position, sequence.num_keys() - 1, head)) {
        slots_[(first_block_[s] + j) * num_kv_heads_ + head] = static_cast<int32_t>(items.size());
        // Keys of a packed document start at its first row; those of a continued sequence at row 0.
        const int64_t first_key = sequence.first_row + j * kBlock;
        items.push_back({first_key, std::min(kBlock, sequence.num_keys() - j * kBlock), head});
      }
    }
  }
  memory_ = std::make_unique<Floats>(static_cast<int64_t>(items.size()) * panels_ * panel_floats());
  const TileKernels& kernels = tile_kernels();
  const int64_t head_size = k_SKD.size(2);
  for_each_item(
      static_cast<int64_t>(items.size()), [] { return 0; },
      [&](int, int64_t i) {
        const Item& item = items[i];
        const RowsIn k = head_rows(k_SKD, item.first_key, item.kv_head);
        const RowsIn v = head_rows(v_SKD, item.first_key, item.kv_head);
        float* to = memory_->data() + i * panels_ * panel_floats();
        kernels.transpose(item.num_keys, head_size, k, {to, kBlock}, kBlock);
        to += panel_floats();
        if (purpose == For::kForward) {
          kernels.load(item.num_keys, head_size, 1.0f, v, {to, head_size_padded_},
                       head_size_padded_);
          return;
        }
        kernels.load(item.num_keys, head_size, 1.0f, k, {to, head_size_padded_}, head_size_padded_);
        kernels.transpose(item.num_keys, head_size, v, {to + panel_floats(), kBlock}, kBlock);
      });
}

const float* DenseKeyBlocks::slot(int64_t sequence, int64_t kv_head, int64_t key_block) const {
  return memory_->data() + slots_[(first_block_[sequence] + key_block) * num_kv_heads_ + kv_head] *
                               panels_ * panel_floats();
}

KeyBlock DenseKeyBlocks::block(int64_t sequence, int64_t kv_head, int64_t key_block) const {
  const float* first = slot(sequence, kv_head, key_block);
  return {{first, kBlock, false}, {first + panel_floats(), head_size_padded_, false}};
}

RowsIn DenseKeyBlocks::keys(int64_t sequence, int64_t kv_head, int64_t key_block) const {
  return {slot(sequence, kv_head, key_block) + panel_floats(), head_size_padded_, false};
}

RowsIn DenseKeyBlocks::values_transposed(int64_t sequence, int64_t kv_head,
                                         int64_t key_block) const {
  return {slot(sequence, kv_head, key_block) + 2 * panel_floats(), kBlock, false};
}

}  // namespace longgen::cpu
