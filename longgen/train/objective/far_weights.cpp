#include "longgen/train/objective/far_weights.h"

#include <ATen/core/grad_mode.h>

#include <cmath>

#include "longgen/ops/linear_cross_entropy.h"

namespace longgen {
namespace {

/// Attends within the batch, but in no layer farther than the sparse pattern's window.
class NearContext : public BatchContext {
 public:
  NearContext(const MicroBatch& batch, const Pattern& sparse)
      : BatchContext(batch.tokens_T.size(0), batch.doc_starts),
        near_(Pattern::sparse(sparse.sink_blocks(), sparse.window_blocks())) {}

  at::Tensor attend(const LayerAttention& layer, const at::Tensor& q_THD, const at::Tensor& k_TKD,
                    const at::Tensor& v_TKD) override {
    const Pattern& pattern = layer.pattern.is_window() ? layer.pattern : near_;
    return BatchContext::attend({layer.index, pattern, layer.scale}, q_THD, k_TKD, v_TKD);
  }

 private:
  Pattern near_;
};

}  // namespace

at::Tensor far_weights(const Decoder& decoder, const MicroBatch& batch, const at::Tensor& hidden_TE,
                       double largest, int64_t chunk_rows, const OnLayer& on_layer) {
  const at::NoGradGuard no_grad;
  NearContext context(batch, decoder.config().layers.sparse());
  const auto logprobs = [&](const at::Tensor& hidden) {
    return target_logprobs(hidden, decoder.weights().head_VE, batch.targets_T, chunk_rows);
  };
  const at::Tensor near_T = logprobs(decoder.forward(batch.tokens_T, context, on_layer));
  const double most = std::log(largest);
  return logprobs(hidden_TE).sub(near_T).clamp(0, most).exp();
}

}  // namespace longgen
