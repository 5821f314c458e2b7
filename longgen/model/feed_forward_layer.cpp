#include "longgen/model/feed_forward_layer.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>

#include "longgen/ops/gradients.h"

namespace longgen {

FeedForwardLayer::FeedForwardLayer(const ModelConfig& config, const LayerWeights& weights)
    : norm_(norm_weight(weights.norm(TensorRole::kFeedForwardNorm), config)),
      network_{weights.linear(TensorRole::kGateUp), weights.linear(TensorRole::kDown),
               config.activation} {
  const at::Tensor& post_norm = weights.norm(TensorRole::kFeedForwardPostNorm);
  if (post_norm.defined()) post_norm_ = norm_weight(post_norm, config);
}

Residual FeedForwardLayer::forward(Residual residual) const {
  Residual result = norm_feed_forward(std::move(residual), norm_, network_);
  if (post_norm_) result.delta_TE = rms_norm(result.delta_TE, *post_norm_);
  return result;
}

FeedForwardRecord FeedForwardLayer::record(const Residual& residual) const {
  const at::NoGradGuard no_grad;
  FeedForwardRecord record;
  AddedNorm x = add_rms_norm_forward(residual.x_TE, residual.delta_TE, norm_, &record.inverse_rms);
  record.sum_TE = std::move(x.sum);
  record.normed_TE = std::move(x.normed);
  return record;
}

at::Tensor FeedForwardLayer::forward(FeedForwardRecord& record, bool keeps) const {
  const at::NoGradGuard no_grad;
  at::Tensor normed_TE = keeps ? record.normed_TE : std::move(record.normed_TE);
  at::Tensor delta_TE =
      feed_forward(std::move(normed_TE), network_, keeps ? &record.gate_up : nullptr);
  if (post_norm_) {
    const at::Tensor output_TE = std::move(delta_TE);
    delta_TE =
        rms_norm_forward(output_TE, *post_norm_, keeps ? &record.output_inverse_rms : nullptr);
    if (keeps) record.output_TE = output_TE;
  }
  return at::add(record.sum_TE, delta_TE);
}

at::Tensor FeedForwardLayer::output_gradient(const at::Tensor& grad_TE, FeedForwardRecord& record,
                                             const LayerWeights& gradients) const {
  if (!post_norm_) return grad_TE;
  if (!record.output_TE.defined()) {
    record.output_TE = feed_forward(record.normed_TE, network_);
    rms_norm_forward(record.output_TE, *post_norm_, &record.output_inverse_rms);
  }
  const RmsNormGradients found =
      rms_norm_backward(grad_TE, record.output_TE, *post_norm_, record.output_inverse_rms,
                        /*need_x=*/true, /*need_weight=*/true);
  record.output_TE.reset();
  record.output_inverse_rms.reset();
  add_gradient(found.weight_I, gradients.norm(TensorRole::kFeedForwardPostNorm));
  return found.x;
}

at::Tensor FeedForwardLayer::backward(const at::Tensor& grad_TE, FeedForwardRecord record,
                                      const LayerWeights& gradients) const {
  const at::NoGradGuard no_grad;
  at::Tensor grad_normed_TE;
  {
    FeedForwardGradients found = feed_forward_backward(output_gradient(grad_TE, record, gradients),
                                                       record.normed_TE, network_, record.gate_up);
    record.gate_up.clear();
    grad_normed_TE = std::move(found.x_TE);
    add_gradient(found.weights.gate_up, gradients.linear(TensorRole::kGateUp));
    add_gradient(found.weights.down, gradients.linear(TensorRole::kDown));
  }
  const RmsNormGradients found =
      add_rms_norm_backward({grad_TE, grad_normed_TE}, record.sum_TE, norm_, record.inverse_rms,
                            /*need_x=*/true, /*need_weight=*/true);
  add_gradient(found.weight_I, gradients.norm(TensorRole::kFeedForwardNorm));
  return found.x;
}

}  // namespace longgen
