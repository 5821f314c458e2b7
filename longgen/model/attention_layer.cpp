#include "longgen/model/attention_layer.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/variable.h>

#include <cmath>

#include "longgen/ops/gradients.h"

namespace longgen {
namespace {

/// Gives the factor of scores where it is not that of the head size.
std::optional<double> scale_of_scores(const ModelConfig& config) {
  if (!config.query_scalar) return std::nullopt;
  return 1 / std::sqrt(static_cast<double>(*config.query_scalar));
}

std::vector<at::Tensor> tensors_of(const LayerWeights& weights) {
  return weights.tensors(TensorRole::kAttentionNorm, TensorRole::kAttentionPostNorm);
}

/// Does what torch::autograd::grad() does, but begins at an edge instead of a tensor.
std::vector<at::Tensor> gradients_of(const std::vector<at::Tensor>& leaves,
                                     const torch::autograd::Edge& root, const at::Tensor& grad) {
  torch::autograd::edge_list ends;
  for (const at::Tensor& leaf : leaves) ends.push_back(torch::autograd::impl::gradient_edge(leaf));
  return torch::autograd::Engine::get_default_engine().execute({root}, {grad}, /*keep_graph=*/false,
                                                               /*create_graph=*/false,
                                                               /*accumulate_grad=*/false, ends);
}

}  // namespace

AttentionLayer::AttentionLayer(int64_t index, const ModelConfig& config,
                               const LayerWeights& weights)
    : num_heads_(config.num_heads),
      head_size_(config.head_size),
      attention_{index, config.pattern(index), scale_of_scores(config)},
      norm_(norm_weight(weights.norm(TensorRole::kAttentionNorm), config)),
      weights_(weights) {
  const at::Tensor& post_norm = weights.norm(TensorRole::kAttentionPostNorm);
  if (post_norm.defined()) post_norm_ = norm_weight(post_norm, config);
}

Residual AttentionLayer::forward(Residual residual, const RopeTables& ropes,
                                 AttentionContext& context) const {
  NormedLinear qkv = norm_linear(std::move(residual), norm_, weights_.linear(TensorRole::kQkv));
  const HeadPreparation preparation = {
      ropes.of(attention_.pattern), weights_.norm(TensorRole::kQueryNorm),
      weights_.norm(TensorRole::kKeyNorm), norm_.eps, norm_.adds_one};
  const at::Tensor attended_THD = context.prepare_and_attend(
      attention_, qkv.out.unflatten(1, {-1, head_size_}), num_heads_, preparation);
  at::Tensor out_TE = weights_.linear(TensorRole::kOutput).forward(attended_THD.flatten(1));
  if (post_norm_) out_TE = rms_norm(out_TE, *post_norm_);
  return {std::move(qkv.sum_TE), std::move(out_TE)};
}

Residual AttentionLayer::forward(const at::Tensor& x_TE, const RopeTables& ropes,
                                 AttentionContext& context, AttentionRecord& record) const {
  const at::AutoGradMode builds_graph(true);
  record.input_TE = x_TE.detach().requires_grad_(true);
  const Residual result = forward({record.input_TE, {}}, ropes, context);
  record.result = torch::autograd::impl::gradient_edge(result.delta_TE);
  return {result.x_TE.detach(), result.delta_TE.detach()};
}

at::Tensor AttentionLayer::backward(at::Tensor grad_TE, const AttentionRecord& record,
                                    const LayerWeights& gradients) const {
  std::vector<at::Tensor> leaves = tensors_of(weights_);
  leaves.insert(leaves.begin(), record.input_TE);
  const std::vector<at::Tensor> found = gradients_of(leaves, record.result, grad_TE);
  const std::vector<at::Tensor> sums = tensors_of(gradients);
  for (size_t i = 0; i < sums.size(); ++i) add_gradient(found[i + 1], sums[i]);
  return grad_TE.add_(found[0]);
}

}  // namespace longgen
