#include "longgen/model/weights.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/normal.h>
#include <ATen/ops/zeros.h>

#include "longgen/base/check.h"

namespace longgen {
namespace {

template <typename Weights>
auto& tensor_at(Weights& weights, const TensorPlace& place) {
  switch (place.role) {
    case TensorRole::kEmbedding:
      return weights.embedding_VE;
    case TensorRole::kFinalNorm:
      return weights.final_norm_E;
    case TensorRole::kHead:
      return weights.head_VE;
    default:
      auto& linear = weights.layers[static_cast<size_t>(place.layer)].linear(place.role);
      return place.is_bias ? linear.bias : linear.weight;
  }
}

/// Calls visit(place, tensor) for every place of a decoder, whether the model has the tensor or
/// not, in the order of an optimizer's parameters.
template <typename Weights, typename Visit>
void for_each_place(Weights& weights, const Visit& visit) {
  const auto visit_one = [&](const TensorPlace& place) { visit(place, tensor_at(weights, place)); };
  visit_one({TensorRole::kEmbedding});
  for (int64_t layer = 0; layer < static_cast<int64_t>(weights.layers.size()); ++layer) {
    for (int i = 0; i < kNumLayerRoles; ++i) {
      const auto role = static_cast<TensorRole>(static_cast<int>(kFirstLayerRole) + i);
      visit_one({role, layer});
      visit_one({role, layer, /*is_bias=*/true});
    }
  }
  visit_one({TensorRole::kFinalNorm});
  visit_one({TensorRole::kHead});
}

/// Calls visit(place, tensor) for every tensor of the weights, tied ones once.
template <typename Weights, typename Visit>
void for_each_tensor(Weights& weights, const Visit& visit) {
  const bool tied = weights.head_VE.is_same(weights.embedding_VE);
  for_each_place(weights, [&](const TensorPlace& place, auto& tensor) {
    if (tensor.defined() && !(tied && place.role == TensorRole::kHead)) visit(place, tensor);
  });
}

/// Makes each tensor anew by make(tensor); tied ones stay tied.
template <typename Make>
ModelWeights remade(const ModelWeights& weights, const Make& make) {
  ModelWeights copy = weights;
  const bool tied = weights.head_VE.is_same(weights.embedding_VE);
  for_each_tensor(copy, [&](const TensorPlace&, at::Tensor& tensor) { tensor = make(tensor); });
  if (tied) copy.head_VE = copy.embedding_VE;
  return copy;
}

at::Generator generator_of(at::Device device, uint64_t seed) {
  if (device.is_cpu()) return at::detail::createCPUGenerator(seed);
  at::globalContext().lazyInitDevice(device.type());
  at::Generator generator = at::globalContext()
                                .getAcceleratorHooksInterface(device.type())
                                .getNewGenerator(device.has_index() ? device.index() : 0);
  generator.set_current_seed(seed);
  return generator;
}

}  // namespace

std::vector<at::Tensor> LayerWeights::tensors(TensorRole first, TensorRole last) const {
  std::vector<at::Tensor> all;
  for (size_t i = slot(first); i <= slot(last); ++i) {
    if (slots_[i].weight.defined()) all.push_back(slots_[i].weight);
    if (slots_[i].bias.defined()) all.push_back(slots_[i].bias);
  }
  return all;
}

std::vector<NamedTensor> ModelWeights::parameters() const {
  std::vector<NamedTensor> all;
  for_each_tensor(*this, [&](const TensorPlace& place, const at::Tensor& tensor) {
    all.push_back({place.name(), tensor, place.decays()});
  });
  return all;
}

std::vector<NamedTensor> ModelWeights::hugging_face_views(const ModelConfig& config) const {
  std::vector<NamedTensor> views;
  for (const StoredTensor& stored : stored_tensors(config)) {
    const at::Tensor& whole = tensor_at(*this, stored.place);
    views.push_back(
        {stored.name, whole.narrow(0, stored.first_row, stored.shape[0]), stored.place.decays()});
  }
  return views;
}

ModelWeights allocate_weights(const ModelConfig& config, at::ScalarType dtype, at::Device device) {
  const at::TensorOptions options = at::TensorOptions(dtype).device(device);
  ModelWeights weights;
  weights.layers.resize(static_cast<size_t>(config.num_layers));
  for_each_place(weights, [&](const TensorPlace& place, at::Tensor& tensor) {
    const std::vector<int64_t> shape = place.shape(config);
    if (!shape.empty()) tensor = at::empty(shape, options);
  });
  if (!weights.head_VE.defined()) weights.head_VE = weights.embedding_VE;
  return weights;
}

ModelWeights random_weights(const ModelConfig& config, at::ScalarType dtype, uint64_t seed,
                            at::Device device) {
  ModelWeights weights = allocate_weights(config, dtype, device);
  at::Generator generator = generator_of(device, seed);
  for_each_tensor(weights, [&](const TensorPlace& place, at::Tensor& tensor) {
    if (place.is_bias) {
      tensor.zero_();
    } else if (place.is_norm()) {
      tensor.fill_(1);
    } else if (device.is_cpu()) {
      tensor.copy_(at::normal(0, config.init_std, tensor.sizes(), generator));
    } else {
      tensor.normal_(0, config.init_std, generator);
    }
  });
  return weights;
}

ModelWeights zeros_like(const ModelWeights& weights, at::ScalarType dtype) {
  return remade(weights, [dtype](const at::Tensor& tensor) {
    return at::zeros(tensor.sizes(), tensor.options().dtype(dtype).requires_grad(false));
  });
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
  return remade(weights, [&](const at::Tensor& tensor) {
    return tensor.detach().to(device, dtype, /*non_blocking=*/false, /*copy=*/true);
  });
}

}  // namespace longgen
