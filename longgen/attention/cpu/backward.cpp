#include "longgen/attention/cpu/backward.h"

#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "longgen/attention/cpu/items.h"

namespace longgen::cpu {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
// The query tiles of a KV head are divided into segments that run in parallel, each with key and
// value gradients of its own, added up afterwards in order. More segments feed more threads and
// cost more memory: a segment's own queries and the window, sink and stride blocks before it.
constexpr int64_t kTargetSegments = 32;  // over all KV heads
constexpr int64_t kMinQueryBlocks = 16;  // per segment, or the window would be most of its work
constexpr int64_t kMaxFullSegments = 4;  // a full layer's segments each need all keys

struct Segment {
  int64_t sequence;
  int64_t kv_head;
  std::vector<Tile> tiles;
  std::vector<int64_t>
      key_blocks;      // that any of the tiles sees, ascending; gradients lie in this order
  int64_t first_slot;  // of its gradients
};

std::vector<Segment> make_segments(const std::vector<Sequence>& sequences, const Pattern& pattern,
                                   int64_t num_kv_heads, int64_t group) {
  std::vector<Segment> segments;
  int64_t num_slots = 0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    if (sequences[s].num_rows == 0) continue;
    const int64_t first_block = sequences[s].first_position / kBlock;
    const int64_t num_blocks = sequences[s].num_key_blocks() - first_block;
    int64_t wanted =
        std::min(num_blocks / kMinQueryBlocks, (kTargetSegments + num_kv_heads - 1) / num_kv_heads);
    if (pattern.is_full()) wanted = std::min(wanted, kMaxFullSegments);
    if (pattern.is_window()) {  // so long that its own queries outweigh the window before it
      const int64_t longer_than_window = num_blocks * kBlock / pattern.window_tokens();
      wanted = std::min(wanted, std::max(kMaxFullSegments, longer_than_window));
    }
    wanted = std::max<int64_t>(wanted, 1);
    for (int64_t head = 0; head < num_kv_heads; ++head) {
      const std::vector<Tile> tiles =
          make_tiles(sequences[s], static_cast<int64_t>(s), head, group);
      auto next = tiles.begin();
      for (int64_t i = 0; i < wanted; ++i) {
        const int64_t end = first_block + (i + 1) * num_blocks / wanted;
        const auto last =
            std::find_if(next, tiles.end(), [&](const Tile& t) { return t.query_block() >= end; });
        segments.push_back(
            {static_cast<int64_t>(s),
             head,
             {next, last},
             pattern.blocks_seen(next->first_position, std::prev(last)->last_position(), head),
             num_slots});
        num_slots += static_cast<int64_t>(segments.back().key_blocks.size());
        next = last;
      }
    }
  }
  return segments;
}

struct Inputs {
  const at::Tensor &grad, &q, &out, &lse;
  const DenseKeyBlocks& keys;
  const Pattern& pattern;
  int64_t group, head_size, head_size_padded;
  double scale;
};

/// What one thread needs to work on a segment.
class SegmentWorker {
 public:
  SegmentWorker(const Inputs& in, int64_t max_rows)
      : in_(in),
        q_(max_rows * in.head_size_padded),
        grad_(max_rows * in.head_size_padded),
        out_(max_rows * in.head_size_padded),
        grad_q_(max_rows * in.head_size_padded),
        scores_(max_rows * kBlock),
        grad_scores_(max_rows * kBlock),
        lse2_(max_rows),
        delta_(max_rows) {}

  /// key_grads and value_grads: (blocks of the segment, kBlock, D padded), zero at the start.
  void run(const Segment& segment, float* key_grads, float* value_grads, const at::Tensor& grad_q) {
    const int64_t panel = kBlock * in_.head_size_padded;
    for (const Tile& tile : segment.tiles) {
      load_tile(tile);
      auto slot = segment.key_blocks.begin();
      for (int64_t j : blocks_seen(tile, in_.pattern)) {
        slot = std::lower_bound(slot, segment.key_blocks.end(), j);
        const int64_t offset = (slot - segment.key_blocks.begin()) * panel;
        add_block(tile, j, key_grads + offset, value_grads + offset);
      }
      write_grad_q(tile, grad_q);
    }
  }

 private:
  int64_t rows_of(const Tile& tile) const { return tile.num_tokens * in_.group; }

  void load_rows(const at::Tensor& x, const Tile& tile, float factor, Floats& to) {
    const int64_t row = in_.head_size_padded;
    for (int64_t h = 0; h < in_.group; ++h) {
      kernels_.load(tile.num_tokens, in_.head_size, factor,
                    head_rows(x, tile.first_row, tile.kv_head * in_.group + h),
                    {to.data() + h * row, in_.group * row}, row);
    }
  }

  void load_tile(const Tile& tile) {
    load_rows(in_.q, tile, static_cast<float>(in_.scale * std::numbers::log2e), q_);
    load_rows(in_.grad, tile, 1.0f, grad_);
    load_rows(in_.out, tile, 1.0f, out_);
    std::fill_n(grad_q_.data(), rows_of(tile) * in_.head_size_padded, 0.0f);
    const float* lse = in_.lse.const_data_ptr<float>();
    for (int64_t r = 0; r < rows_of(tile); ++r) {
      const int64_t head = tile.kv_head * in_.group + r % in_.group;
      const float value = lse[head * in_.lse.size(1) + tile.first_row + r / in_.group];
      lse2_[r] = value == -kInfinity ? kInfinity : static_cast<float>(value * std::numbers::log2e);
      const float* g = grad_.data() + r * in_.head_size_padded;
      const float* o = out_.data() + r * in_.head_size_padded;
      double sum = 0;
      for (int64_t d = 0; d < in_.head_size; ++d) sum += static_cast<double>(g[d]) * o[d];
      delta_[r] = static_cast<float>(sum);
    }
  }

  void add_block(const Tile& tile, int64_t j, float* key_grad, float* value_grad) {
    const int64_t rows = rows_of(tile);
    const int64_t num_keys = tile.num_keys(j);
    const int64_t columns = padded(num_keys);
    const int64_t d = in_.head_size_padded;
    const Rows scores = {scores_.data(), kBlock};
    const Rows grad_scores = {grad_scores_.data(), kBlock};
    kernels_.multiply(rows, columns, in_.head_size, {q_.data(), d, 1},
                      in_.keys.block(tile.sequence, tile.kv_head, j).keys_transposed, scores,
                      false);
    kernels_.multiply(rows, columns, in_.head_size, {grad_.data(), d, 1},
                      in_.keys.values_transposed(tile.sequence, tile.kv_head, j), grad_scores,
                      false);
    mask_unseen(tile, j, in_.pattern, in_.group, scores, columns);
    // q_ carries scale * log2(e): dS leaves softmax_grad times ln(2), so that dS^T q_ is the
    // gradient of the keys.
    kernels_.softmax_grad(rows, columns, scores, grad_scores, lse2_.data(), delta_.data(),
                          static_cast<float>(std::numbers::ln2));
    kernels_.multiply(num_keys, d, rows, {scores_.data(), 1, kBlock}, {grad_.data(), d, false},
                      {value_grad, d}, true);
    kernels_.multiply(num_keys, d, rows, {grad_scores_.data(), 1, kBlock}, {q_.data(), d, false},
                      {key_grad, d}, true);
    kernels_.multiply(rows, d, num_keys, {grad_scores_.data(), kBlock, 1},
                      in_.keys.keys(tile.sequence, tile.kv_head, j), {grad_q_.data(), d}, true);
  }

  template <typename T>
  void write_rows(const Tile& tile, const at::Tensor& grad_q) {
    const auto factor =
        static_cast<float>(in_.scale * std::numbers::log2e);  // undoes the ln(2) above
    for (int64_t r = 0; r < rows_of(tile); ++r) {
      const int64_t head = tile.kv_head * in_.group + r % in_.group;
      const int64_t row = tile.first_row + r / in_.group;
      T* to = grad_q.mutable_data_ptr<T>() + (row * grad_q.size(1) + head) * in_.head_size;
      const float* from = grad_q_.data() + r * in_.head_size_padded;
      for (int64_t d = 0; d < in_.head_size; ++d) to[d] = static_cast<T>(from[d] * factor);
    }
  }

  void write_grad_q(const Tile& tile, const at::Tensor& grad_q) {
    if (grad_q.scalar_type() == at::kBFloat16) {
      write_rows<at::BFloat16>(tile, grad_q);
    } else {
      write_rows<float>(tile, grad_q);
    }
  }

  const TileKernels& kernels_ = tile_kernels();
  const Inputs& in_;
  Floats q_, grad_, out_, grad_q_, scores_, grad_scores_;
  std::vector<float> lse2_, delta_;
};

/// Adds the gradients of all segments, in order, and writes them in the dtype of `grad`.
template <typename T>
void write_key_grads(const std::vector<Segment>& segments, const std::vector<Sequence>& sequences,
                     const Floats& slots, int64_t head_size_padded, const at::Tensor& grad_SKD) {
  struct Share {
    int64_t sequence, kv_head, key_block;
    std::vector<int64_t> slots;
  };
  std::vector<Share> shares;
  for (size_t begin = 0;
       begin < segments.size();) {  // segments of one sequence and KV head stand together
    size_t end = begin;
    std::vector<std::vector<int64_t>> by_block(
        sequences[segments[begin].sequence].num_key_blocks());
    for (; end < segments.size() && segments[end].sequence == segments[begin].sequence &&
           segments[end].kv_head == segments[begin].kv_head;
         ++end) {
      for (size_t b = 0; b < segments[end].key_blocks.size(); ++b) {
        by_block[segments[end].key_blocks[b]].push_back(segments[end].first_slot +
                                                        static_cast<int64_t>(b));
      }
    }
    for (size_t j = 0; j < by_block.size(); ++j) {
      if (!by_block[j].empty()) {
        shares.push_back({segments[begin].sequence, segments[begin].kv_head,
                          static_cast<int64_t>(j), std::move(by_block[j])});
      }
    }
    begin = end;
  }
  const int64_t head_size = grad_SKD.size(2);
  for_each_item(
      static_cast<int64_t>(shares.size()), [] { return 0; },
      [&](int, int64_t item) {
        const Share& share = shares[item];
        const Sequence& sequence = sequences[share.sequence];
        const int64_t first_key = share.key_block * kBlock;
        const int64_t num_keys = std::min(kBlock, sequence.num_keys() - first_key);
        for (int64_t r = 0; r < num_keys; ++r) {
          T* to =
              grad_SKD.mutable_data_ptr<T>() +
              ((sequence.first_row + first_key + r) * grad_SKD.size(1) + share.kv_head) * head_size;
          for (int64_t d = 0; d < head_size; ++d) {
            float sum = 0;
            for (int64_t slot : share.slots)
              sum += slots.data()[(slot * kBlock + r) * head_size_padded + d];
            to[d] = static_cast<T>(sum);
          }
        }
      });
}

}  // namespace

AttentionGradients attend_backward(const at::Tensor& grad_THD, const at::Tensor& q_THD,
                                   const at::Tensor& k_SKD, const at::Tensor& v_SKD,
                                   const at::Tensor& out_THD, const at::Tensor& lse_HT,
                                   const std::vector<Sequence>& sequences, const Pattern& pattern,
                                   double scale) {
  const int64_t group = q_THD.size(1) / k_SKD.size(1);
  const int64_t d = padded(q_THD.size(2));
  const DenseKeyBlocks keys(k_SKD, v_SKD, sequences, pattern, DenseKeyBlocks::For::kBackward);
  const std::vector<Segment> segments = make_segments(sequences, pattern, k_SKD.size(1), group);
  int64_t num_slots = 0, max_rows = 0;
  for (const Segment& segment : segments) {
    num_slots += static_cast<int64_t>(segment.key_blocks.size());
    for (const Tile& tile : segment.tiles) max_rows = std::max(max_rows, tile.num_tokens * group);
  }
  const int64_t panel = kBlock * d;
  const Floats key_grads(num_slots * panel), value_grads(num_slots * panel);
  AttentionGradients grads = {at::empty_like(q_THD, at::MemoryFormat::Contiguous),
                              at::zeros_like(k_SKD, at::MemoryFormat::Contiguous),
                              at::zeros_like(v_SKD, at::MemoryFormat::Contiguous)};
  const Inputs inputs = {grad_THD, q_THD, out_THD,       lse_HT, keys,
                         pattern,  group, q_THD.size(2), d,      scale};
  for_each_item(
      static_cast<int64_t>(segments.size()), [&] { return SegmentWorker(inputs, max_rows); },
      [&](SegmentWorker& worker, int64_t item) {
        const Segment& segment = segments[item];
        const int64_t first = segment.first_slot * panel;
        const int64_t count = static_cast<int64_t>(segment.key_blocks.size()) * panel;
        std::fill_n(key_grads.data() + first, count, 0.0f);
        std::fill_n(value_grads.data() + first, count, 0.0f);
        worker.run(segment, key_grads.data() + first, value_grads.data() + first, grads.q_THD);
      });
  const auto write = [&](const Floats& slots, const at::Tensor& grad) {
    if (grad.scalar_type() == at::kBFloat16) {
      write_key_grads<at::BFloat16>(segments, sequences, slots, d, grad);
    } else {
      write_key_grads<float>(segments, sequences, slots, d, grad);
    }
  };
  write(key_grads, grads.k_SKD);
  write(value_grads, grads.v_SKD);
  return grads;
}

}  // namespace longgen::cpu
