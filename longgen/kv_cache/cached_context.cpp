#include "longgen/kv_cache/cached_context.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <numeric>

#include "longgen/attention/operator.h"
#include "longgen/base/check.h"
#include "longgen/kv_cache/page_scalar.h"

namespace longgen {

CachedContext::~CachedContext() { cancel(); }

PagedAttention& CachedContext::attention() {
  if (pass_.pool().device().is_cuda()) return on_gpu_;
  return on_cpu_;
}

bool CachedContext::begin(std::vector<Part> parts) {
  if (!reserve(std::move(parts))) return false;
  if (!pass_.parts.empty()) attention().begin(pass_);
  return true;
}

bool CachedContext::begin(std::vector<Part> parts, FixedPassTables& tables, bool& must_record) {
  if (!reserve(std::move(parts))) return false;
  must_record = !tables.update(pass_.parts);
  on_gpu_.begin(tables.tables());
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
  pass_.parts.reserve(parts.size());
  for (const Part& part : parts) {
    if (!part.cache->reserve(part.num_tokens)) {
      cancel();
      return false;
    }
    pass_.parts.push_back(part);
  }
  pass_.sequences = std::move(sequences);
  pass_.positions_T = positions_T;
  return true;
}

void CachedContext::commit(bool keep_dead) {
  LG_CHECK(!pass_.parts.empty(), "[cached context] commit() without a pass. Call begin() first.");
  for (const Part& part : pass_.parts) {
    if (keep_dead) {
      part.cache->commit_keeping_dead();
    } else {
      part.cache->commit();
    }
  }
  pass_.parts.clear();
}

void CachedContext::cancel() {
  for (const Part& part : pass_.parts) part.cache->cancel();
  pass_.parts.clear();
}

void CachedContext::check_inputs(const LayerAttention& layer, const at::Tensor& q_THD,
                                 const at::Tensor& k_TKD, const at::Tensor& v_TKD) const {
  LG_CHECK(!pass_.parts.empty(), "[cached context] attend() without a pass. Call begin() first.");
  const KvLayout& layout = pass_.layout();
  const KvShape& shape = layout.shape();
  LG_CHECK(layer.index >= 0 && layer.index < shape.num_layers, "[cached context] layer ",
           layer.index, " of a model with layers 0 to ", shape.num_layers - 1, ".");
  const at::ScalarType type = scalar_type(shape.page_type);
  const int64_t num_rows = pass_.positions_T.size(0);
  const at::Device device = pass_.pool().device();
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
  const Pattern& expected = layout.pattern(layout.slot(layer.index).group);
  LG_CHECK(layer.pattern == expected, "[cached context] layer ", layer.index, " attends with ",
           layer.pattern.to_string(), ", but the cache keeps what ", expected.to_string(),
           " sees (or other stride offsets). Make the layout from the model's config.");
}

at::Tensor CachedContext::attend(const LayerAttention& layer, const at::Tensor& q_THD,
                                 const at::Tensor& k_TKD, const at::Tensor& v_TKD) {
  const at::NoGradGuard no_grad;
  check_inputs(layer, q_THD, k_TKD, v_TKD);
  return attention().attend(pass_, layer, q_THD, k_TKD, v_TKD);
}

at::Tensor CachedContext::prepare_and_attend(const LayerAttention& layer,
                                             const at::Tensor& heads_TAD, int64_t num_heads,
                                             const HeadPreparation& preparation) {
  const at::NoGradGuard no_grad;
  const int64_t num_kv_heads = (heads_TAD.size(1) - num_heads) / 2;
  check_inputs(layer, heads_TAD.narrow(1, 0, num_heads),
               heads_TAD.narrow(1, num_heads, num_kv_heads),
               heads_TAD.narrow(1, num_heads + num_kv_heads, num_kv_heads));
  return attention().prepare_and_attend(pass_, layer, heads_TAD, num_heads, preparation);
}

}  // namespace longgen
