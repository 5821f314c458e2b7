#include "longgen/measure/gate_pass.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/add.h>
#include <ATen/ops/full.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/measure/token_tensor.h"

namespace longgen {

GateContext::GateContext(int64_t num_tokens, const ModelConfig& config, const VariantUnits& units,
                         double gate)
    : batch_(num_tokens),
      full_(Pattern().for_heads(config.num_kv_heads)),
      sparse_(units.sparse.for_heads(config.num_kv_heads)),
      gates_(static_cast<size_t>(config.num_layers)) {
  for (const int64_t unit : units.candidates) {
    at::Tensor& gates = gates_of(unit / units.per_layer);
    if (!gates.defined()) gates = at::full({units.per_layer}, gate, at::kFloat);
  }
}

at::Tensor GateContext::attend(const LayerAttention& layer, const at::Tensor& q_THD,
                               const at::Tensor& k_TKD, const at::Tensor& v_TKD) {
  const at::Tensor& gates = gates_of(layer.index);
  if (!gates.defined()) return batch_.attend(layer, q_THD, k_TKD, v_TKD);
  const at::Tensor full_THD = batch_.attend({layer.index, full_, layer.scale}, q_THD, k_TKD, v_TKD);
  const at::Tensor sparse_THD =
      batch_.attend({layer.index, sparse_, layer.scale}, q_THD, k_TKD, v_TKD);
  const int64_t num_heads = q_THD.size(1) / gates.size(0);
  const at::Tensor gates_H1 = gates.to(full_THD.device()).repeat_interleave(num_heads).unsqueeze(1);
  return full_THD.add(sparse_THD.sub(full_THD).mul(gates_H1).to(full_THD.scalar_type()));
}

GatePass::GatePass(const Decoder& decoder, VariantUnits units, int64_t num_tokens, double gate)
    : decoder_(decoder),
      units_(std::move(units)),
      context_(num_tokens, decoder.config(), units_, gate),
      ropes_(decoder.ropes(context_)) {}

void GatePass::set_gate(int64_t unit, double gate) {
  at::Tensor& gates = context_.gates_of(unit / units_.per_layer);
  gates = gates.detach().clone();
  gates[unit % units_.per_layer] = gate;
}

at::Tensor GatePass::layer(int64_t index, const at::Tensor& x_TE) {
  const DecoderLayer& layer = decoder_.layers().at(static_cast<size_t>(index));
  const Residual result =
      layer.feed_forward.forward(layer.attention.forward({x_TE, {}}, ropes_, context_));
  return at::add(result.x_TE, result.delta_TE);
}

at::Tensor GatePass::forward(const std::vector<int32_t>& ids,
                             const std::function<bool()>& on_layer) {
  const at::NoGradGuard no_grad;
  inputs_TE_ = {decoder_.embed(token_tensor(ids, decoder_.config().vocab_size))};
  for (int64_t i = 0; i < decoder_.config().num_layers; ++i) {
    inputs_TE_.push_back(layer(i, inputs_TE_.back()));
    if (!on_layer()) return {};
  }
  return decoder_.final_norm(inputs_TE_.back());
}

std::vector<std::vector<double>> GatePass::backward(std::vector<at::Tensor> grads_TE,
                                                    const std::function<bool()>& on_layer) {
  LG_DCHECK(static_cast<int64_t>(inputs_TE_.size()) == decoder_.config().num_layers + 1);
  const at::AutoGradMode builds_graph(true);
  const auto pull_back = [&](const at::Tensor& result, const std::vector<at::Tensor>& leaves,
                             const auto& take) {
    for (size_t f = 0; f < grads_TE.size(); ++f) {
      const bool keeps_graph = f + 1 < grads_TE.size();
      const auto found = torch::autograd::grad({result}, leaves, {grads_TE[f]}, keeps_graph);
      grads_TE[f] = found[0];
      take(f, found);
    }
  };
  const auto take_input = [this] {
    const at::Tensor input_TE = inputs_TE_.back().detach().requires_grad_(true);
    inputs_TE_.pop_back();
    return input_TE;
  };
  const at::Tensor last_TE = take_input();
  pull_back(decoder_.final_norm(last_TE), {last_TE}, [](size_t, const auto&) {});
  std::vector<std::vector<double>> slopes(grads_TE.size());  // from the last unit to the first
  for (int64_t i = decoder_.config().num_layers - 1; i >= 0; --i) {
    std::vector<at::Tensor> leaves = {take_input()};
    at::Tensor& gates_U = context_.gates_of(i);
    if (gates_U.defined()) leaves.push_back(gates_U.requires_grad_(true));
    pull_back(layer(i, leaves[0]), leaves, [&](size_t figure, const auto& found) {
      for (int64_t u = units_.per_layer - 1; found.size() > 1 && u >= 0; --u) {
        slopes[figure].push_back(found[1][u].template item<double>());
      }
    });
    if (!on_layer()) return {};
  }
  for (std::vector<double>& of_units : slopes) std::reverse(of_units.begin(), of_units.end());
  return slopes;
}

}  // namespace longgen
