#include "longgen/model/attention_layer.h"

#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/variable.h>

#include "longgen/ops/gradients.h"

namespace longgen {
namespace {

std::vector<at::Tensor> tensors_of(const LayerWeights& weights) {
  return weights.tensors(TensorRole::kAttentionNorm, TensorRole::kOutput);
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
    : index_(index),
      num_heads_(config.num_heads),
      head_size_(config.head_size),
      norm_eps_(config.norm_eps),
      pattern_(config.pattern(index)),
      weights_(weights) {}

Residual AttentionLayer::forward(Residual residual, const RopeTable& rope,
                                 AttentionContext& context) const {
  NormedLinear qkv =
      norm_linear(std::move(residual), {weights_.norm(TensorRole::kAttentionNorm), norm_eps_},
                  weights_.linear(TensorRole::kQkv));
  const at::Tensor attended_THD = context.prepare_and_attend(
      index_, qkv.out.unflatten(1, {-1, head_size_}), num_heads_,
      {rope, weights_.norm(TensorRole::kQueryNorm), weights_.norm(TensorRole::kKeyNorm), norm_eps_},
      pattern_);
  return {std::move(qkv.sum_TE),
          weights_.linear(TensorRole::kOutput).forward(attended_THD.flatten(1))};
}

Residual AttentionLayer::forward(const at::Tensor& x_TE, const RopeTable& rope,
                                 AttentionContext& context, AttentionRecord& record) const {
  const at::AutoGradMode builds_graph(true);
  record.input_TE = x_TE.detach().requires_grad_(true);
  const Residual result = forward({record.input_TE, {}}, rope, context);
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
