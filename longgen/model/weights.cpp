#include "longgen/model/weights.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/normal.h>
#include <ATen/ops/zeros.h>

#include <functional>

#include "longgen/base/check.h"

namespace longgen {
namespace {

/// Calls visit(name, tensor) for every tensor of the weights, tied ones once.
template <typename Weights, typename Visit>
void for_each_tensor(Weights& weights, const Visit& visit) {
  const auto visit_defined = [&](const std::string& name, auto& tensor) {
    if (tensor.defined()) visit(name, tensor);
  };
  const bool tied = weights.head_VE.is_same(weights.embedding_VE);
  visit("embedding", weights.embedding_VE);
  for (size_t i = 0; i < weights.layers.size(); ++i) {
    const std::string prefix = "layers." + std::to_string(i) + ".";
    auto& layer = weights.layers[i];
    visit_defined(prefix + "attention_norm", layer.attention_norm_E);
    visit_defined(prefix + "qkv", layer.qkv);
    visit_defined(prefix + "qkv_bias", layer.qkv_bias);
    visit_defined(prefix + "q_norm", layer.q_norm_D);
    visit_defined(prefix + "k_norm", layer.k_norm_D);
    visit_defined(prefix + "output", layer.output);
    visit_defined(prefix + "output_bias", layer.output_bias);
    visit_defined(prefix + "ffn_norm", layer.ffn_norm_E);
    visit_defined(prefix + "gate_up", layer.gate_up);
    visit_defined(prefix + "gate_up_bias", layer.gate_up_bias);
    visit_defined(prefix + "down", layer.down);
    visit_defined(prefix + "down_bias", layer.down_bias);
  }
  visit("final_norm", weights.final_norm_E);
  if (!tied) visit("head", weights.head_VE);
}

LayerWeights allocate_layer(const ModelConfig& config, const at::TensorOptions& options) {
  const int64_t query_width = config.num_heads * config.head_size;
  const int64_t qkv_width = query_width + 2 * config.num_kv_heads * config.head_size;
  const auto vector_if = [&](bool wanted, int64_t size) {
    return wanted ? at::empty({size}, options) : at::Tensor();
  };
  LayerWeights layer;
  layer.attention_norm_E = at::empty({config.width}, options);
  layer.qkv = at::empty({qkv_width, config.width}, options);
  layer.qkv_bias = vector_if(config.qkv_bias, qkv_width);
  layer.q_norm_D = vector_if(config.qk_norm, config.head_size);
  layer.k_norm_D = vector_if(config.qk_norm, config.head_size);
  layer.output = at::empty({config.width, query_width}, options);
  layer.output_bias = vector_if(config.output_bias, config.width);
  layer.ffn_norm_E = at::empty({config.width}, options);
  layer.gate_up = at::empty({2 * config.ffn_width, config.width}, options);
  layer.gate_up_bias = vector_if(config.mlp_bias, 2 * config.ffn_width);
  layer.down = at::empty({config.width, config.ffn_width}, options);
  layer.down_bias = vector_if(config.mlp_bias, config.width);
  return layer;
}

/// Returns rows [begin, begin + count) of a matrix or vector that may be undefined.
at::Tensor rows(const at::Tensor& tensor, int64_t begin, int64_t count) {
  return tensor.defined() ? tensor.narrow(0, begin, count) : tensor;
}

void add_linear(const std::string& name, const at::Tensor& weight, const at::Tensor& bias,
                std::vector<NamedTensor>& views) {
  views.push_back({name + ".weight", weight});
  if (bias.defined()) views.push_back({name + ".bias", bias});
}

}  // namespace

std::vector<at::Tensor> LayerWeights::tensors() const {
  std::vector<at::Tensor> all;
  for (const at::Tensor* tensor :
       {&attention_norm_E, &qkv, &qkv_bias, &q_norm_D, &k_norm_D, &output, &output_bias,
        &ffn_norm_E, &gate_up, &gate_up_bias, &down, &down_bias}) {
    if (tensor->defined()) all.push_back(*tensor);
  }
  return all;
}

std::vector<NamedTensor> ModelWeights::parameters() const {
  std::vector<NamedTensor> all;
  for_each_tensor(*this, [&](const std::string& name, const at::Tensor& tensor) {
    all.push_back({name, tensor});
  });
  return all;
}

std::vector<NamedTensor> ModelWeights::hugging_face_views(const ModelConfig& config) const {
  const int64_t q = config.num_heads * config.head_size,
                kv = config.num_kv_heads * config.head_size;
  const int64_t ffn = config.ffn_width;
  std::vector<NamedTensor> views = {{"model.embed_tokens.weight", embedding_VE}};
  for (size_t i = 0; i < layers.size(); ++i) {
    const LayerWeights& layer = layers[i];
    const std::string prefix = "model.layers." + std::to_string(i) + ".";
    const std::string attention = prefix + "self_attn.", mlp = prefix + "mlp.";
    views.push_back({prefix + "input_layernorm.weight", layer.attention_norm_E});
    add_linear(attention + "q_proj", rows(layer.qkv, 0, q), rows(layer.qkv_bias, 0, q), views);
    add_linear(attention + "k_proj", rows(layer.qkv, q, kv), rows(layer.qkv_bias, q, kv), views);
    add_linear(attention + "v_proj", rows(layer.qkv, q + kv, kv), rows(layer.qkv_bias, q + kv, kv),
               views);
    add_linear(attention + "o_proj", layer.output, layer.output_bias, views);
    if (layer.q_norm_D.defined()) {
      views.push_back({attention + "q_norm.weight", layer.q_norm_D});
      views.push_back({attention + "k_norm.weight", layer.k_norm_D});
    }
    views.push_back({prefix + "post_attention_layernorm.weight", layer.ffn_norm_E});
    add_linear(mlp + "gate_proj", rows(layer.gate_up, 0, ffn), rows(layer.gate_up_bias, 0, ffn),
               views);
    add_linear(mlp + "up_proj", rows(layer.gate_up, ffn, ffn), rows(layer.gate_up_bias, ffn, ffn),
               views);
    add_linear(mlp + "down_proj", layer.down, layer.down_bias, views);
  }
  views.push_back({"model.norm.weight", final_norm_E});
  if (!head_VE.is_same(embedding_VE)) views.push_back({"lm_head.weight", head_VE});
  return views;
}

ModelWeights allocate_weights(const ModelConfig& config, at::ScalarType dtype, at::Device device) {
  const at::TensorOptions options = at::TensorOptions(dtype).device(device);
  ModelWeights weights;
  weights.embedding_VE = at::empty({config.vocab_size, config.width}, options);
  for (int64_t i = 0; i < config.num_layers; ++i) {
    weights.layers.push_back(allocate_layer(config, options));
  }
  weights.final_norm_E = at::empty({config.width}, options);
  weights.head_VE = config.tied_embeddings ? weights.embedding_VE
                                           : at::empty({config.vocab_size, config.width}, options);
  return weights;
}

ModelWeights random_weights(const ModelConfig& config, at::ScalarType dtype, uint64_t seed,
                            at::Device device) {
  ModelWeights weights = allocate_weights(config, dtype, device);
  at::Generator generator = at::detail::createCPUGenerator(seed);
  if (!device.is_cpu()) {
    at::globalContext().lazyInitDevice(device.type());
    generator = at::globalContext()
                    .getAcceleratorHooksInterface(device.type())
                    .getNewGenerator(device.has_index() ? device.index() : 0);
    generator.set_current_seed(seed);
  }
  for_each_tensor(weights, [&](const std::string& name, at::Tensor& tensor) {
    if (name.ends_with("norm")) {
      tensor.fill_(1);
    } else if (name.ends_with("bias")) {
      tensor.zero_();
    } else if (device.is_cpu()) {
      tensor.copy_(at::normal(0, config.init_std, tensor.sizes(), generator));
    } else {
      tensor.normal_(0, config.init_std, generator);
    }
  });
  return weights;
}

ModelWeights zeros_like(const ModelWeights& weights, at::ScalarType dtype) {
  ModelWeights copy = weights;
  const bool tied = weights.head_VE.is_same(weights.embedding_VE);
  for_each_tensor(copy, [&](const std::string&, at::Tensor& tensor) {
    tensor = at::zeros(tensor.sizes(), tensor.options().dtype(dtype).requires_grad(false));
  });
  if (tied) copy.head_VE = copy.embedding_VE;
  return copy;
}

void copy_weights(const ModelWeights& from, const ModelWeights& to) {
  const at::NoGradGuard no_grad;
  const std::vector<NamedTensor> sources = from.parameters(), targets = to.parameters();
  LG_DCHECK(sources.size() == targets.size());
  for (size_t i = 0; i < sources.size(); ++i) {
    at::Tensor target = targets[i].tensor;
    target.copy_(sources[i].tensor);
  }
}

ModelWeights converted(const ModelWeights& weights, at::ScalarType dtype, at::Device device) {
  ModelWeights copy = weights;
  const bool tied = weights.head_VE.is_same(weights.embedding_VE);
  for_each_tensor(copy, [&](const std::string&, at::Tensor& tensor) {
    tensor = tensor.detach().to(device, dtype, /*non_blocking=*/false, /*copy=*/true);
  });
  if (tied) copy.head_VE = copy.embedding_VE;
  return copy;
}

}  // namespace longgen
