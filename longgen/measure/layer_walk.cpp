#include "longgen/measure/layer_walk.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>

#include <algorithm>

#include "longgen/attention/attend.h"
#include "longgen/base/check.h"
#include "longgen/ops/residual.h"

namespace longgen {
namespace {

std::vector<Pattern> patterns_of(const ModelConfig& config) {
  std::vector<Pattern> patterns;
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    patterns.push_back(config.pattern(layer));
  }
  return patterns;
}

bool holds(const std::vector<int64_t>& layers, int64_t layer) {
  return std::binary_search(layers.begin(), layers.end(), layer);
}

}  // namespace

at::Tensor VariantContext::attend(const LayerAttention& layer, const at::Tensor& q_THD,
                                  const at::Tensor& k_TKD, const at::Tensor& v_TKD) {
  return batch_.attend({layer.index, patterns_.at(layer.index), layer.scale}, q_THD, k_TKD, v_TKD);
}

LayerWalk::LayerWalk(const Decoder& decoder, LayerSet candidates, const Pattern& sparse,
                     int64_t num_tokens)
    : decoder_(decoder),
      candidates_(std::move(candidates)),
      full_(Pattern().for_heads(decoder.config().num_kv_heads)),
      sparse_(sparse.for_heads(decoder.config().num_kv_heads)),
      context_(num_tokens, patterns_of(decoder.config())),
      ropes_(decoder.ropes(context_)) {}

void LayerWalk::set(int64_t layer, bool is_full) {
  context_.set_pattern(layer, is_full ? full_ : sparse_);
}

Residual LayerWalk::layer(int64_t index, Residual residual) {
  const DecoderLayer& layer = decoder_.layers().at(index);
  return layer.feed_forward.forward(layer.attention.forward(std::move(residual), ropes_, context_));
}

void LayerWalk::run(const std::vector<int32_t>& ids, const LayerSet& full,
                    const std::vector<int64_t>& toggled, bool visits_itself, const Visit& visit,
                    const std::function<bool()>& on_layer) {
  const at::NoGradGuard no_grad;
  for (const int64_t layer : candidates_) set(layer, holds(full, layer));
  const auto num_layers = decoder_.config().num_layers;
  const int64_t end = visits_itself ? num_layers : toggled.empty() ? 0 : toggled.back() + 1;
  const at::Tensor tokens_T = at::empty({static_cast<int64_t>(ids.size())}, at::kLong);
  std::copy(ids.begin(), ids.end(), tokens_T.data_ptr<int64_t>());
  const auto visit_end = [&](int64_t of, Residual residual) {
    return visit(of, norm(std::move(residual),
                          norm_weight(decoder_.weights().final_norm_E, decoder_.config()))
                         .normed);
  };
  Residual residual = {decoder_.embed(tokens_T), {}};
  for (int64_t i = 0; i < end; ++i) {
    if (holds(toggled, i)) {
      LG_DCHECK(holds(candidates_, i));
      const bool is_full = holds(full, i);
      set(i, !is_full);
      Residual branch = residual;
      for (int64_t j = i; j < num_layers; ++j) {
        branch = layer(j, std::move(branch));
        if (!on_layer()) return;
      }
      set(i, is_full);
      if (!visit_end(i, std::move(branch))) return;
    }
    if (i + 1 == end && !visits_itself) return;
    residual = layer(i, std::move(residual));
    if (!on_layer()) return;
  }
  if (visits_itself) visit_end(kNoLayer, std::move(residual));
}

}  // namespace longgen
