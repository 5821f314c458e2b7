// model/weights.h: the tensors of a decoder, as model/tensors.h lists them.
#pragma once

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "longgen/model/config.h"
#include "longgen/model/tensors.h"
#include "longgen/ops/linear.h"
#include "longgen/ops/norm.h"

namespace longgen {

/// The tensors of one layer by their roles. Matrices are (out, in), as in torch. Projections that
/// read the same input are stored as one matrix (docs/develop/shapes.md). A tensor that the model
/// lacks is undefined.
class LayerWeights {
 public:
  Linear& linear(TensorRole role) { return slots_[slot(role)]; }
  const Linear& linear(TensorRole role) const { return slots_[slot(role)]; }
  const at::Tensor& norm(TensorRole role) const { return slots_[slot(role)].weight; }
  /// Returns the tensors that the model has of roles `first` to `last`, in the order of roles.
  std::vector<at::Tensor> tensors(TensorRole first, TensorRole last) const;

 private:
  static size_t slot(TensorRole role) {
    return static_cast<size_t>(role) - static_cast<size_t>(kFirstLayerRole);
  }
  std::array<Linear, kNumLayerRoles> slots_;  // a norm is a weight alone
};

/// Gives a norm's weight with what the config says of all norms.
inline NormWeight norm_weight(const at::Tensor& weight_I, const ModelConfig& config) {
  return {weight_I, config.norm_eps, config.norms_add_one};
}

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
  bool decays = false;  ///< in training
};

struct ModelWeights {
  at::Tensor embedding_VE;
  std::vector<LayerWeights> layers;
  at::Tensor final_norm_E;
  at::Tensor head_VE;  // the embedding itself when tied

  /// Returns what an optimizer updates: every tensor once, as stored here.
  std::vector<NamedTensor> parameters() const;
  /// Returns views of the same numbers as the tensors of a model directory, in stored_tensors().
  std::vector<NamedTensor> hugging_face_views(const ModelConfig& config) const;
};

/// Makes uninitialised tensors of a model's shapes.
ModelWeights allocate_weights(const ModelConfig& config, at::ScalarType dtype,
                              at::Device device = at::kCPU);
/// Draws normal numbers with init_std; norms multiply by 1, biases are 0. The result is a function
/// of the seed and the kind of device, on which the numbers are drawn.
ModelWeights random_weights(const ModelConfig& config, at::ScalarType dtype, uint64_t seed,
                            at::Device device = at::kCPU);
/// Makes zeros of the same shapes: gradients, optimizer states. Tied tensors stay tied.
ModelWeights zeros_like(const ModelWeights& weights, at::ScalarType dtype);
/// Copies the numbers of one model's weights to another's, in their dtype and on their device,
/// where it allocates nothing.
void copy_weights(const ModelWeights& from, const ModelWeights& to);
/// Copies in another dtype or on another device; tied tensors stay tied.
ModelWeights converted(const ModelWeights& weights, at::ScalarType dtype, at::Device device);

}  // namespace longgen
