#include "longgen/kv_cache/cached_context.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "longgen/attention/cpu/forward.h"
#include "longgen/attention/cpu/items.h"
#include "longgen/attention/operator.h"
#include "longgen/base/check.h"
#include "longgen/kv_cache/page_writer.h"

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;
// Fewer tokens than this are written by the calling thread: waking the others takes longer.
constexpr int64_t kFewTokens = 32;

PageBlock page_block(const SequenceCache& cache, int64_t layer, int64_t kv_head,
                     int64_t key_block) {
  const KvShape& shape = cache.layout().shape();
  return {cache.block(layer, kv_head, key_block), shape.head_size, shape.bytes_per_value == 2};
}

/// The blocks of one layer.
class PagedKeyBlocks : public cpu::KeyBlockSource {
 public:
  PagedKeyBlocks(const std::vector<CachedContext::Part>& parts, int64_t layer)
      : parts_(parts), layer_(layer) {}
  cpu::KeyBlock block(int64_t sequence, int64_t kv_head, int64_t key_block) const override {
    return page_block(*parts_[sequence].cache, layer_, kv_head, key_block).key_block();
  }

 private:
  const std::vector<CachedContext::Part>& parts_;
  int64_t layer_;
};

}  // namespace

CachedContext::~CachedContext() { cancel(); }

bool CachedContext::begin(std::vector<Part> parts) {
  if (!reserve(std::move(parts))) return false;
  if (parts_.empty()) return true;
  const at::Device device = parts_.front().cache->pool().device();
  if (device.is_cuda()) tables_ = PassTables::make(parts_, /*pinned=*/true).to(device);
  return true;
}

bool CachedContext::begin(std::vector<Part> parts, FixedPassTables& tables, bool& must_record) {
  if (!reserve(std::move(parts))) return false;
  must_record = !tables.update(parts_);
  tables_ = tables.tables();
  return true;
}

bool CachedContext::reserve(std::vector<Part> parts) {
  cancel();
  std::vector<cpu::Sequence> sequences;
  int64_t num_rows = 0;
  for (const Part& part : parts) {
    LG_CHECK(&part.cache->layout() == &parts.front().cache->layout(),
             "[cached context] the sequences of one pass must share one layout.");
    LG_CHECK(&part.cache->pool() == &parts.front().cache->pool(),
             "[cached context] the sequences of one pass must share one pool.");
    sequences.push_back({num_rows, part.num_tokens, part.cache->length()});
    num_rows += part.num_tokens;
  }
  const at::Tensor positions_T = at::empty({num_rows}, at::kLong);
  auto* positions = positions_T.data_ptr<int64_t>();
  for (const cpu::Sequence& sequence : sequences) {
    std::iota(positions + sequence.first_row, positions + sequence.first_row + sequence.num_rows,
              sequence.first_position);
  }
  parts_.reserve(parts.size());
  for (const Part& part : parts) {
    if (!part.cache->reserve(part.num_tokens)) {
      cancel();
      return false;
    }
    parts_.push_back(part);
  }
  sequences_ = std::move(sequences);
  positions_T_ = positions_T;
  return true;
}

void CachedContext::commit() {
  LG_CHECK(!parts_.empty(), "[cached context] commit() without a pass. Call begin() first.");
  for (const Part& part : parts_) part.cache->commit();
  parts_.clear();
}

void CachedContext::cancel() {
  for (const Part& part : parts_) part.cache->cancel();
  parts_.clear();
}

void CachedContext::check_inputs(int64_t layer, const at::Tensor& q_THD, const at::Tensor& k_TKD,
                                 const at::Tensor& v_TKD, const Pattern& pattern) const {
  LG_CHECK(!parts_.empty(), "[cached context] attend() without a pass. Call begin() first.");
  const KvLayout& layout = parts_.front().cache->layout();
  const KvShape& shape = layout.shape();
  LG_CHECK(layer >= 0 && layer < shape.num_layers, "[cached context] layer ", layer,
           " of a model with layers 0 to ", shape.num_layers - 1, ".");
  const at::ScalarType type = shape.bytes_per_value == 2 ? at::kBFloat16 : at::kFloat;
  const int64_t num_rows = positions_T_.size(0);
  const at::Device device = parts_.front().cache->pool().device();
  const auto fits = [&](const at::Tensor& x) {
    return x.dim() == 3 && x.size(0) == num_rows && x.size(2) == shape.head_size &&
           x.scalar_type() == type && x.device() == device && (x.stride(2) == 1 || x.size(2) == 1);
  };
  LG_CHECK(fits(q_THD) && fits(k_TKD) && fits(v_TKD) && k_TKD.size(1) == shape.num_kv_heads &&
               v_TKD.size(1) == shape.num_kv_heads && q_THD.size(1) > 0 &&
               q_THD.size(1) % shape.num_kv_heads == 0,
           "[cached context] expected q, k and v of ", num_rows, " tokens, ", shape.num_kv_heads,
           " KV heads of ", shape.head_size, ", ", type, " on ", device,
           ", rows contiguous, found\n  ", describe("q", q_THD), " | ", describe("k", k_TKD), " | ",
           describe("v", v_TKD), "\n  The cache must be made for this model and dtype.");
  const Pattern& expected = layout.pattern(layout.slot(layer).group);
  LG_CHECK(pattern == expected, "[cached context] layer ", layer, " attends with ",
           pattern.to_string(), ", but the cache keeps what ", expected.to_string(),
           " sees (or other stride offsets). Make the layout from the model's config.");
}

void CachedContext::write(int64_t layer, const at::Tensor& k_TKD, const at::Tensor& v_TKD) const {
  const KvLayout& layout = parts_.front().cache->layout();
  const int64_t group = layout.slot(layer).group;
  std::vector<cpu::Tile> runs;  // rows of one KV head that stand in one block
  for (size_t p = 0; p < parts_.size(); ++p) {
    for (int64_t head = 0; head < k_TKD.size(1); ++head) {
      const auto tiles = cpu::make_tiles(sequences_[p], static_cast<int64_t>(p), head, /*group=*/1);
      runs.insert(runs.end(), tiles.begin(), tiles.end());
    }
  }
  const auto write_run = [&](const cpu::Tile& run) {
    if (!layout.stored(group, run.kv_head, run.query_block())) return;
    page_block(*parts_[run.sequence].cache, layer, run.kv_head, run.query_block())
        .write(run.first_position % kBlock, run.num_tokens,
               cpu::head_rows(k_TKD, run.first_row, run.kv_head),
               cpu::head_rows(v_TKD, run.first_row, run.kv_head));
  };
  if (positions_T_.size(0) < kFewTokens) {
    for (const cpu::Tile& run : runs) write_run(run);
    return;
  }
  cpu::for_each_item(
      static_cast<int64_t>(runs.size()), [] { return 0; },
      [&](int, int64_t item) { write_run(runs[item]); });
}

at::Tensor CachedContext::attend(int64_t layer, const at::Tensor& q_THD, const at::Tensor& k_TKD,
                                 const at::Tensor& v_TKD, const Pattern& pattern) {
  const at::NoGradGuard no_grad;
  check_inputs(layer, q_THD, k_TKD, v_TKD, pattern);
  if (q_THD.is_cuda()) return attend_on_gpu(layer, q_THD, k_TKD, v_TKD, pattern);
  write(layer, k_TKD, v_TKD);
  const at::Tensor out_THD = at::empty_like(q_THD, at::MemoryFormat::Contiguous);
  // ATen's flash attention would do for the full layers of a first chunk, too, but was slower at
  // every length: 42 against 30 ms for 2,048 tokens, 576 against 447 ms for 8,192 (9 heads on 3 KV
  // heads of 64, fp32, 2 cores of an AMD EPYC Genoa, 2026-11).
  cpu::attend_forward(q_THD, sequences_, pattern, k_TKD.size(1), attend_scale(q_THD, std::nullopt),
                      PagedKeyBlocks(parts_, layer), out_THD, /*lse_HT=*/{});
  return out_THD;
}

/// Is the pass the first chunks of its sequences, and worth a kernel made for many rows?
bool CachedContext::begins_sequences() const {
  return tables_.max_tokens() > GpuCache::kFewTokens &&
         std::all_of(sequences_.begin(), sequences_.end(),
                     [](const cpu::Sequence& sequence) { return sequence.first_position == 0; });
}

/// The first rows of all sequences that have rows, as AttendOptions::doc_starts.
at::Tensor CachedContext::first_rows() const {
  std::vector<int64_t> rows;
  for (const cpu::Sequence& sequence : sequences_) {
    if (sequence.num_rows > 0) rows.push_back(sequence.first_row);
  }
  const at::Tensor result = at::empty({static_cast<int64_t>(rows.size())}, at::kLong);
  std::copy(rows.begin(), rows.end(), result.data_ptr<int64_t>());
  return result;
}

LayerPages CachedContext::layer_pages(int64_t layer, const Pattern& pattern) const {
  const SequenceCache& cache = *parts_.front().cache;
  const KvLayout::Slot slot = cache.layout().slot(layer);
  return {cache.pool().address(0) + slot.index * cache.layout().block_bytes(),
          cache.pool().page_bytes(), slot.group, pattern};
}

at::Tensor CachedContext::attend_on_gpu(int64_t layer, const at::Tensor& q_THD,
                                        const at::Tensor& k_TKD, const at::Tensor& v_TKD,
                                        const Pattern& pattern) {
  if (q_THD.size(0) == 0) return at::empty(q_THD.sizes(), q_THD.options());
  const LayerPages pages = layer_pages(layer, pattern);
  gpu_cache().write(pages, tables_, k_TKD, v_TKD);
  // A first chunk need not read its own keys back from the pages.
  if (begins_sequences()) {
    return longgen::attend(q_THD, k_TKD, v_TKD, pattern,
                           {first_rows(), attend_scale(q_THD, std::nullopt)})
        .out_THD;
  }
  return gpu_cache().attend(pages, tables_, q_THD, attend_scale(q_THD, std::nullopt), workspace_);
}

at::Tensor CachedContext::prepare_and_attend(int64_t layer, const at::Tensor& heads_TAD,
                                             int64_t num_heads, const HeadPreparation& preparation,
                                             const Pattern& pattern) {
  const bool reads_pages = heads_TAD.is_cuda() && heads_TAD.size(0) > 0 && !begins_sequences();
  if (!reads_pages) {
    return AttentionContext::prepare_and_attend(layer, heads_TAD, num_heads, preparation, pattern);
  }
  const at::NoGradGuard no_grad;
  const int64_t num_kv_heads = (heads_TAD.size(1) - num_heads) / 2;
  check_inputs(layer, heads_TAD.narrow(1, 0, num_heads),
               heads_TAD.narrow(1, num_heads, num_kv_heads),
               heads_TAD.narrow(1, num_heads + num_kv_heads, num_kv_heads), pattern);
  const LayerPages pages = layer_pages(layer, pattern);
  const at::Tensor q_THD =
      gpu_cache().prepare_and_write(pages, tables_, heads_TAD, num_heads, preparation);
  return gpu_cache().attend(pages, tables_, q_THD, attend_scale(q_THD, std::nullopt), workspace_);
}

}  // namespace longgen
