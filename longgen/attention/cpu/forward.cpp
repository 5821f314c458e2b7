#include "longgen/attention/cpu/forward.h"

#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <span>
#include <tuple>

#include "longgen/attention/cpu/items.h"

namespace longgen::cpu {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
// A bf16 block is converted to fp32 once for a tile with more rows than this; with fewer, while
// it is read.
constexpr int64_t kFewRows = 12;
// Where a sequence has too few tiles to keep the threads busy (decoding), the keys of a tile are
// split into parts of this many blocks, whose results are merged in order. Fixed numbers, and a
// choice for each sequence: its result must depend neither on the machine nor on its neighbours.
constexpr int64_t kBlocksPerPart = 16;
constexpr int64_t kManyTiles = 32;
// Of the parts that are computed before they are merged. How many they are changes no bit.
constexpr int64_t kPartBytes = int64_t{8} << 20;
constexpr int64_t kFewestParts = 64;

struct Shape {
  int64_t num_heads;
  int64_t group;  // query heads per KV head
  int64_t head_size;
  int64_t head_size_padded;
};

/// Parts of so many sums each that are in memory together.
int64_t parts_at_once(int64_t sums_per_part) {
  const auto bytes = sums_per_part * static_cast<int64_t>(sizeof(float));
  return std::max(kFewestParts, kPartBytes / std::max<int64_t>(bytes, 1));
}

/// What one thread needs to work on a tile.
class TileWorker {
 public:
  TileWorker(const Shape& shape, int64_t max_rows)
      : shape_(shape),
        q_(max_rows * shape.head_size_padded),
        scores_(max_rows * kBlock),
        keys_(kBlock * shape.head_size_padded),
        values_(kBlock * shape.head_size_padded) {}

  void load_queries(const at::Tensor& q_THD, const Tile& tile, double scale) {
    const auto factor = static_cast<float>(scale * std::numbers::log2e);
    const int64_t row_floats = shape_.head_size_padded;
    for (int64_t h = 0; h < shape_.group; ++h) {
      const RowsIn from = head_rows(q_THD, tile.first_row, tile.kv_head * shape_.group + h);
      kernels_.load(tile.num_tokens, shape_.head_size, factor, from,
                    {q_.data() + h * row_floats, shape_.group * row_floats}, row_floats);
    }
  }

  /// Adds one key block to out (rows, D padded) and states.
  void add_block(const Tile& tile, const Pattern& pattern, int64_t key_block, const KeyBlock& block,
                 float* out, RowState* states) {
    const int64_t rows = tile.num_tokens * shape_.group;
    const int64_t num_keys = tile.num_keys(key_block);
    const Rows scores = {scores_.data(), kBlock};
    const int64_t columns = padded(num_keys);
    kernels_.multiply(rows, columns, shape_.head_size, {q_.data(), shape_.head_size_padded, 1},
                      in_fp32(block.keys_transposed, rows, shape_.head_size, kBlock, keys_), scores,
                      false);
    mask_unseen(tile, key_block, pattern, shape_.group, scores, columns);
    const Rows sums = {out, shape_.head_size_padded};
    kernels_.softmax(rows, columns, scores, states, sums, shape_.head_size_padded);
    kernels_.multiply(rows, shape_.head_size_padded, num_keys, {scores_.data(), kBlock, 1},
                      in_fp32(block.values, rows, num_keys, shape_.head_size_padded, values_), sums,
                      true);
  }

 private:
  RowsIn in_fp32(const RowsIn& from, int64_t tile_rows, int64_t rows, int64_t columns,
                 Floats& buffer) {
    if (!from.is_bf16 || tile_rows <= kFewRows) return from;
    kernels_.load(rows, columns, 1.0f, from, {buffer.data(), columns}, columns);
    return {buffer.data(), columns, false};
  }

  const TileKernels& kernels_ = tile_kernels();
  Shape shape_;
  Floats q_, scores_, keys_, values_;
};

/// One part of the key blocks of a tile.
struct Part {
  int64_t tile;
  int64_t first_block;  // index into the tile's visible blocks
  int64_t num_blocks;
};

struct Plan {
  std::vector<Tile> tiles;
  std::vector<std::vector<int64_t>> visible;  // per tile, only where parts are used
  std::vector<Part> parts;                    // empty: each tile is one item
  int64_t max_rows = 0;
};

/// Are tiles of the sequence split into parts? With no more blocks than one part has, a tile is the
/// same either way.
bool is_split(const Sequence& sequence, int64_t num_kv_heads) {
  if (sequence.num_rows == 0 || sequence.num_key_blocks() <= kBlocksPerPart) return false;
  const int64_t num_query_blocks =
      sequence.num_key_blocks() - sequence.first_position / Pattern::kBlock;
  return num_query_blocks * num_kv_heads < kManyTiles;
}

/// The work on the sequences that are split, or on the others.
Plan make_plan(const std::vector<Sequence>& sequences, const Pattern& pattern, int64_t num_kv_heads,
               int64_t group, bool in_parts) {
  Plan plan;
  for (size_t s = 0; s < sequences.size(); ++s) {
    if (is_split(sequences[s], num_kv_heads) != in_parts) continue;
    for (int64_t head = 0; head < num_kv_heads; ++head) {
      const auto tiles = make_tiles(sequences[s], static_cast<int64_t>(s), head, group);
      plan.tiles.insert(plan.tiles.end(), tiles.begin(), tiles.end());
    }
  }
  for (const Tile& tile : plan.tiles)
    plan.max_rows = std::max(plan.max_rows, tile.num_tokens * group);
  if (!in_parts) return plan;
  for (size_t t = 0; t < plan.tiles.size(); ++t) {
    plan.visible.push_back(blocks_seen(plan.tiles[t], pattern));
    const auto count = static_cast<int64_t>(plan.visible.back().size());
    for (int64_t b = 0; b == 0 || b < count; b += kBlocksPerPart) {
      plan.parts.push_back({static_cast<int64_t>(t), b, std::min(kBlocksPerPart, count - b)});
    }
  }
  return plan;
}

template <typename T>
void write_row(const float* from, float factor, int64_t size, T* to) {
  for (int64_t i = 0; i < size; ++i) to[i] = static_cast<T>(from[i] * factor);
}

/// out = sums / state.sum, lse = ln of the sum. A row that saw nothing: zeros and -inf.
void write_tile(const Tile& tile, const Shape& shape, const float* sums, const RowState* states,
                const at::Tensor& out_THD, const at::Tensor& lse_HT) {
  const bool is_bf16 = out_THD.scalar_type() == at::kBFloat16;
  for (int64_t r = 0; r < tile.num_tokens * shape.group; ++r) {
    const int64_t row = tile.first_row + r / shape.group;
    const int64_t head = tile.kv_head * shape.group + r % shape.group;
    const RowState& state = states[r];
    const float factor = state.sum > 0 ? 1.0f / state.sum : 0.0f;
    const float* from = sums + r * shape.head_size_padded;
    const int64_t offset = (row * shape.num_heads + head) * shape.head_size;
    if (is_bf16) {
      write_row(from, factor, shape.head_size, out_THD.mutable_data_ptr<at::BFloat16>() + offset);
    } else {
      write_row(from, factor, shape.head_size, out_THD.mutable_data_ptr<float>() + offset);
    }
    if (lse_HT.defined()) {
      const double lse =
          state.sum > 0 ? (state.max + std::log2(state.sum)) * std::numbers::ln2 : -kInfinity;
      lse_HT.mutable_data_ptr<float>()[head * lse_HT.size(1) + row] = static_cast<float>(lse);
    }
  }
}

/// Adds the sums of a later part to those of the parts before it.
void merge_part(int64_t rows, int64_t columns, const float* part, const RowState* part_states,
                float* sums, RowState* states) {
  for (int64_t r = 0; r < rows; ++r) {
    if (part_states[r].sum == 0) continue;
    const float top = std::max(states[r].max, part_states[r].max);
    const float keep = std::exp2(states[r].max - top);
    const float add = std::exp2(part_states[r].max - top);
    states[r] = {top, states[r].sum * keep + part_states[r].sum * add};
    for (int64_t c = 0; c < columns; ++c) {
      sums[r * columns + c] = sums[r * columns + c] * keep + part[r * columns + c] * add;
    }
  }
}

/// A call of attend_forward().
struct Call {
  const at::Tensor& q_THD;
  const Pattern& pattern;
  const KeyBlockSource& source;
  double scale;
  const at::Tensor& out_THD;
  const at::Tensor& lse_HT;
  Shape shape;
  Plan plan;

  int64_t sums_per_item() const { return plan.max_rows * shape.head_size_padded; }
  int64_t rows(const Tile& tile) const { return tile.num_tokens * shape.group; }
  TileWorker make_worker() const { return {shape, plan.max_rows}; }

  void clear(const Tile& tile, float* sums, RowState* states) const {
    std::fill_n(sums, rows(tile) * shape.head_size_padded, 0.0f);
    std::fill_n(states, rows(tile), RowState{-kInfinity, 0.0f});
  }

  /// Attends the tile to some of its visible blocks.
  void attend(TileWorker& worker, const Tile& tile, std::span<const int64_t> key_blocks,
              float* sums, RowState* states) const {
    clear(tile, sums, states);
    worker.load_queries(q_THD, tile, scale);
    for (const int64_t j : key_blocks) {
      worker.add_block(tile, pattern, j, source.block(tile.sequence, tile.kv_head, j), sums,
                       states);
    }
  }
};

void attend_whole_tiles(const Call& call) {
  for_each_item(
      static_cast<int64_t>(call.plan.tiles.size()),
      [&] {
        return std::tuple(call.make_worker(), Floats(call.sums_per_item()),
                          std::vector<RowState>(call.plan.max_rows));
      },
      [&](auto& state, int64_t item) {
        auto& [worker, sums, states] = state;
        const Tile& tile = call.plan.tiles[item];
        call.attend(worker, tile, blocks_seen(tile, call.pattern), sums.data(), states.data());
        write_tile(tile, call.shape, sums.data(), states.data(), call.out_THD, call.lse_HT);
      });
}

/// In waves of parts: what all parts of a long sequence give would grow with its length. A tile
/// whose parts fall into two waves goes on from what the first one made of it.
void attend_in_parts(const Call& call) {
  const std::vector<Part>& parts = call.plan.parts;
  const auto num_parts = static_cast<int64_t>(parts.size());
  const int64_t per_item = call.sums_per_item(), max_rows = call.plan.max_rows;
  const int64_t wave = std::min(num_parts, parts_at_once(per_item));
  const Floats sums(wave * per_item), merged(per_item);
  std::vector<RowState> states(wave * max_rows), merged_states(max_rows);
  for (int64_t first = 0; first < num_parts; first += wave) {
    const int64_t count = std::min(wave, num_parts - first);
    for_each_item(
        count, [&] { return call.make_worker(); },
        [&](TileWorker& worker, int64_t item) {
          const Part& part = parts[first + item];
          const std::span visible(call.plan.visible[part.tile]);
          call.attend(worker, call.plan.tiles[part.tile],
                      visible.subspan(part.first_block, part.num_blocks),
                      sums.data() + item * per_item, states.data() + item * max_rows);
        });
    for (int64_t item = 0; item < count; ++item) {
      const int64_t p = first + item;
      const Tile& tile = call.plan.tiles[parts[p].tile];
      if (parts[p].first_block == 0) call.clear(tile, merged.data(), merged_states.data());
      merge_part(call.rows(tile), call.shape.head_size_padded, sums.data() + item * per_item,
                 states.data() + item * max_rows, merged.data(), merged_states.data());
      if (p + 1 == num_parts || parts[p + 1].tile != parts[p].tile) {
        write_tile(tile, call.shape, merged.data(), merged_states.data(), call.out_THD,
                   call.lse_HT);
      }
    }
  }
}

}  // namespace

void attend_forward(const at::Tensor& q_THD, const std::vector<Sequence>& sequences,
                    const Pattern& pattern, int64_t num_kv_heads, double scale,
                    const KeyBlockSource& source, const at::Tensor& out_THD,
                    const at::Tensor& lse_HT) {
  const int64_t group = q_THD.size(1) / num_kv_heads;
  for (const bool in_parts : {false, true}) {
    const Call call = {.q_THD = q_THD,
                       .pattern = pattern,
                       .source = source,
                       .scale = scale,
                       .out_THD = out_THD,
                       .lse_HT = lse_HT,
                       .shape = {q_THD.size(1), group, q_THD.size(2), padded(q_THD.size(2))},
                       .plan = make_plan(sequences, pattern, num_kv_heads, group, in_parts)};
    if (call.plan.tiles.empty()) continue;
    if (in_parts) {
      attend_in_parts(call);
    } else {
      attend_whole_tiles(call);
    }
  }
}

}  // namespace longgen::cpu
