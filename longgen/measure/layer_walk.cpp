#include "longgen/measure/layer_walk.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/measure/token_tensor.h"
#include "longgen/ops/residual.h"

namespace longgen {
namespace {

bool holds(const std::vector<int64_t>& units, int64_t unit) {
  return std::binary_search(units.begin(), units.end(), unit);
}

}  // namespace

VariantContext::VariantContext(int64_t num_tokens, const ModelConfig& config,
                               const VariantUnits& units)
    : batch_(num_tokens),
      per_layer_(units.per_layer),
      full_(Pattern().for_heads(config.num_kv_heads)),
      sparse_(units.sparse.for_heads(config.num_kv_heads)),
      is_full_(static_cast<size_t>(config.num_layers)) {
  LG_DCHECK(per_layer_ == 1 || per_layer_ == config.num_kv_heads);
  for (const int64_t unit : units.candidates) {
    is_full_.at(unit / per_layer_).assign(static_cast<size_t>(per_layer_), true);
  }
}

void VariantContext::set(int64_t unit, bool is_full) {
  is_full_.at(unit / per_layer_).at(unit % per_layer_) = is_full;
}

at::Tensor VariantContext::attend(const LayerAttention& layer, const at::Tensor& q_THD,
                                  const at::Tensor& k_TKD, const at::Tensor& v_TKD) {
  const std::vector<bool>& is_full = is_full_.at(layer.index);
  if (is_full.empty()) return batch_.attend(layer, q_THD, k_TKD, v_TKD);
  const auto attend_with = [&](const Pattern& pattern) {
    return batch_.attend({layer.index, pattern, layer.scale}, q_THD, k_TKD, v_TKD);
  };
  const auto num_full = std::count(is_full.begin(), is_full.end(), true);
  if (num_full == 0) return attend_with(sparse_);
  at::Tensor out_THD = attend_with(full_);
  if (num_full == per_layer_) return out_THD;
  const at::Tensor sparse_THD = attend_with(sparse_);
  const int64_t num_heads = out_THD.size(1) / per_layer_;
  for (int64_t unit = 0; unit < per_layer_; ++unit) {
    if (is_full[static_cast<size_t>(unit)]) continue;
    const auto heads = [&](const at::Tensor& x) {
      return x.narrow(1, unit * num_heads, num_heads);
    };
    heads(out_THD).copy_(heads(sparse_THD));
  }
  return out_THD;
}

LayerWalk::LayerWalk(const Decoder& decoder, VariantUnits units, int64_t num_tokens)
    : decoder_(decoder),
      units_(std::move(units)),
      context_(num_tokens, decoder.config(), units_),
      ropes_(decoder.ropes(context_)) {}

Residual LayerWalk::layer(int64_t index, Residual residual) {
  const DecoderLayer& layer = decoder_.layers().at(index);
  return layer.feed_forward.forward(layer.attention.forward(std::move(residual), ropes_, context_));
}

bool LayerWalk::finish(int64_t first_layer, Residual& residual,
                       const std::function<bool()>& on_layer) {
  for (int64_t i = first_layer; i < decoder_.config().num_layers; ++i) {
    residual = layer(i, std::move(residual));
    if (!on_layer()) return false;
  }
  return true;
}

at::Tensor LayerWalk::final_norm(Residual residual) const {
  return norm(std::move(residual), norm_weight(decoder_.weights().final_norm_E, decoder_.config()))
      .normed;
}

void LayerWalk::run(const std::vector<int32_t>& ids, const LayerSet& full,
                    const std::vector<int64_t>& toggled, bool visits_itself, const Visit& visit,
                    const std::function<bool()>& on_layer) {
  if (toggled.empty() && !visits_itself) return;
  const at::NoGradGuard no_grad;
  for (const int64_t unit : units_.candidates) context_.set(unit, holds(full, unit));
  Residual residual = {decoder_.embed(token_tensor(ids, decoder_.config().vocab_size)), {}};
  int64_t index = 0;  // the layer whose input `residual` is
  for (const int64_t unit : toggled) {
    LG_DCHECK(holds(units_.candidates, unit) && unit / units_.per_layer >= index);
    for (; index < unit / units_.per_layer; ++index) {
      residual = layer(index, std::move(residual));
      if (!on_layer()) return;
    }
    context_.set(unit, !holds(full, unit));
    Residual branch = residual;
    if (!finish(index, branch, on_layer)) return;
    context_.set(unit, holds(full, unit));
    if (!visit(unit, final_norm(std::move(branch)))) return;
  }
  if (!visits_itself || !finish(index, residual, on_layer)) return;
  visit(kNothing, final_norm(std::move(residual)));
}

}  // namespace longgen
