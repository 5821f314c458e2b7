#include "longgen/kv_cache/cpu_paged_attention.h"

#include <ATen/ops/empty_like.h>

#include <optional>

#include "longgen/attention/cpu/forward.h"
#include "longgen/attention/cpu/items.h"
#include "longgen/attention/operator.h"
#include "longgen/kv_cache/page_writer.h"

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;
// Fewer tokens than this are written by the calling thread: waking the others takes longer.
constexpr int64_t kFewTokens = 32;

PageBlock page_block(const SequenceCache& cache, int64_t layer, int64_t kv_head,
                     int64_t key_block) {
  const KvShape& shape = cache.layout().shape();
  return {cache.block(layer, kv_head, key_block), shape.head_size, shape.page_type};
}

/// The blocks of one layer.
class PagedKeyBlocks : public cpu::KeyBlockSource {
 public:
  PagedKeyBlocks(const std::vector<PassPart>& parts, int64_t layer)
      : parts_(parts), layer_(layer) {}
  cpu::KeyBlock block(int64_t sequence, int64_t kv_head, int64_t key_block) const override {
    return page_block(*parts_[sequence].cache, layer_, kv_head, key_block).key_block();
  }

 private:
  const std::vector<PassPart>& parts_;
  int64_t layer_;
};

/// Writes the rows of all runs to their blocks, on all threads where there are many.
void write(const CachePass& pass, int64_t layer, const at::Tensor& k_TKD, const at::Tensor& v_TKD) {
  const KvLayout& layout = pass.layout();
  const int64_t group = layout.slot(layer).group;
  std::vector<cpu::Tile> runs;  // rows of one KV head that stand in one block
  for (size_t p = 0; p < pass.parts.size(); ++p) {
    for (int64_t head = 0; head < k_TKD.size(1); ++head) {
      const auto tiles =
          cpu::make_tiles(pass.sequences[p], static_cast<int64_t>(p), head, /*group=*/1);
      runs.insert(runs.end(), tiles.begin(), tiles.end());
    }
  }
  const auto write_run = [&](const cpu::Tile& run) {
    if (!layout.stored(group, run.kv_head, run.query_block())) return;
    page_block(*pass.parts[run.sequence].cache, layer, run.kv_head, run.query_block())
        .write(run.first_position % kBlock, run.num_tokens,
               cpu::head_rows(k_TKD, run.first_row, run.kv_head),
               cpu::head_rows(v_TKD, run.first_row, run.kv_head));
  };
  if (pass.positions_T.size(0) < kFewTokens) {
    for (const cpu::Tile& run : runs) write_run(run);
    return;
  }
  cpu::for_each_item(
      static_cast<int64_t>(runs.size()), [] { return 0; },
      [&](int, int64_t item) { write_run(runs[item]); });
}

}  // namespace

at::Tensor CpuPagedAttention::attend(const CachePass& pass, const LayerAttention& layer,
                                     const at::Tensor& q_THD, const at::Tensor& k_TKD,
                                     const at::Tensor& v_TKD) {
  write(pass, layer.index, k_TKD, v_TKD);
  const at::Tensor out_THD = at::empty_like(q_THD, at::MemoryFormat::Contiguous);
  // ATen's flash attention would do for the full layers of a first chunk, too, but was slower at
  // every length: 42 against 30 ms for 2,048 tokens, 576 against 447 ms for 8,192 (9 heads on 3 KV
  // heads of 64, fp32, 2 cores of an AMD EPYC Genoa, 2026-11).
  cpu::attend_forward(q_THD, pass.sequences, layer.pattern, k_TKD.size(1),
                      attend_scale(q_THD, layer.scale), PagedKeyBlocks(pass.parts, layer.index),
                      out_THD, /*lse_HT=*/{});
  return out_THD;
}

}  // namespace longgen
