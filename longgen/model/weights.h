// model/weights.h: the tensors of a decoder, and their names in model directories.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/model/config.h"

namespace longgen {

/// Matrices are (out, in), as in torch. Projections that read the same input are stored as one
/// matrix. A tensor that the model lacks is undefined.
struct LayerWeights {
  at::Tensor attention_norm_E;
  at::Tensor qkv, qkv_bias;  // ((H + 2K) D, E): rows of q, then k, then v
  at::Tensor q_norm_D, k_norm_D;
  at::Tensor output, output_bias;  // (E, H D)
  at::Tensor ffn_norm_E;
  at::Tensor gate_up, gate_up_bias;  // (2F, E): rows of gate, then up
  at::Tensor down, down_bias;        // (E, F)

  /// Returns the tensors that the model has, in a fixed order.
  std::vector<at::Tensor> tensors() const;
};

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

struct ModelWeights {
  at::Tensor embedding_VE;
  std::vector<LayerWeights> layers;
  at::Tensor final_norm_E;
  at::Tensor head_VE;  // the embedding itself when tied

  /// Returns what an optimizer updates: every tensor once, as stored here.
  std::vector<NamedTensor> parameters() const;
  /// Returns views of the same numbers under their Hugging Face names
  /// ("model.layers.0.self_attn.q_proj.weight").
  std::vector<NamedTensor> hugging_face_views(const ModelConfig& config) const;
};

/// Makes uninitialised tensors of a model's shapes.
ModelWeights allocate_weights(const ModelConfig& config, at::ScalarType dtype,
                              at::Device device = at::kCPU);
/// Draws normal numbers with init_std; norms are 1, biases 0. The result is a function of the seed
/// and the kind of device, on which the numbers are drawn.
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
