#include "longgen/model/feed_forward_layer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>

#include "longgen/ops/gradients.h"

namespace longgen {

FeedForwardLayer::FeedForwardLayer(const ModelConfig& config, const LayerWeights& weights)
    : norm_{weights.norm(TensorRole::kFeedForwardNorm), config.norm_eps},
      network_{weights.linear(TensorRole::kGateUp), weights.linear(TensorRole::kDown)} {}

Residual FeedForwardLayer::forward(Residual residual) const {
  return norm_feed_forward(std::move(residual), norm_, network_);
}

FeedForwardRecord FeedForwardLayer::record(const Residual& residual) const {
  const at::NoGradGuard no_grad;
  FeedForwardRecord record;
  AddedNorm x = add_rms_norm_forward(residual.x_TE, residual.delta_TE, norm_.weight_E, norm_.eps,
                                     &record.inverse_rms);
  record.sum_TE = std::move(x.sum);
  record.normed_TE = std::move(x.normed);
  return record;
}

at::Tensor FeedForwardLayer::forward(FeedForwardRecord& record, bool keeps) const {
  const at::NoGradGuard no_grad;
  at::Tensor normed_TE = keeps ? record.normed_TE : std::move(record.normed_TE);
  const at::Tensor delta_TE =
      feed_forward(std::move(normed_TE), network_, keeps ? &record.gate_up : nullptr);
  return at::add(record.sum_TE, delta_TE);
}

at::Tensor FeedForwardLayer::backward(const at::Tensor& grad_TE, FeedForwardRecord record,
                                      const LayerWeights& gradients) const {
  const at::NoGradGuard no_grad;
  at::Tensor grad_normed_TE;
  {
    FeedForwardGradients found =
        feed_forward_backward(grad_TE, record.normed_TE, network_, record.gate_up);
    record.gate_up.clear();
    grad_normed_TE = std::move(found.x_TE);
    add_gradient(found.weights.gate_up, gradients.linear(TensorRole::kGateUp));
    add_gradient(found.weights.down, gradients.linear(TensorRole::kDown));
  }
  const RmsNormGradients found =
      add_rms_norm_backward({grad_TE, grad_normed_TE}, record.sum_TE, norm_.weight_E,
                            record.inverse_rms, /*need_x=*/true, /*need_weight=*/true);
  add_gradient(found.weight_I, gradients.norm(TensorRole::kFeedForwardNorm));
  return found.x;
}

}  // namespace longgen
