// model/tensors.h: the one list of a decoder's tensors. Each has one row, which says what it is
// called here, in Hugging Face directories and in GGUF files, what shape it has, how it begins and
// whether it decays. Allocation, random numbers, files, checks of shapes, the optimizer and the
// planner go through the list: a further tensor is a role and a row.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "longgen/model/config.h"

namespace longgen {

/// What a tensor is for. An optimizer numbers its parameters in this order: first those of the
/// model, then those of each layer, then those of the model again.
enum class TensorRole {
  kEmbedding,
  kAttentionNorm,
  kQkv,
  kQueryNorm,
  kKeyNorm,
  kOutput,
  kFeedForwardNorm,
  kGateUp,
  kDown,
  kFinalNorm,
  kHead,
};
inline constexpr TensorRole kFirstLayerRole = TensorRole::kAttentionNorm;
inline constexpr TensorRole kLastLayerRole = TensorRole::kDown;
inline constexpr int kNumLayerRoles =
    static_cast<int>(kLastLayerRole) - static_cast<int>(kFirstLayerRole) + 1;
constexpr bool is_of_layer(TensorRole role) {
  return role >= kFirstLayerRole && role <= kLastLayerRole;
}

/// Matrices begin as normal numbers and decay in training; norms begin as ones and do not decay.
/// The bias beside a matrix begins as zeros and does not decay either.
enum class TensorKind { kEmbedding, kAttention, kFeedForward, kNorm, kHead };

/// A tensor of a file. It is some rows of a tensor here, where matrices that read the same input
/// are one.
struct TensorPart {
  const char* hugging_face;  ///< "self_attn.q_proj", without what all of a layer have before it
  const char* gguf;          ///< "attn_q"
  int64_t num_rows;
  /// Whether RoPE turns its rows. GGUF files of llama have such rows in another order.
  bool rotated = false;
};

/// What a config says of a tensor.
struct TensorShape {
  std::vector<TensorPart> parts;  ///< from the first row on; none: the model lacks the tensor
  int64_t num_columns = 0;        ///< 0: a vector
  bool has_bias = false;

  int64_t num_rows() const;
  /// Counts the numbers without the bias, which has num_rows().
  int64_t num_elements() const { return num_rows() * (num_columns > 0 ? num_columns : 1); }
  int64_t num_biases() const { return has_bias ? num_rows() : 0; }
};

struct TensorInfo {
  TensorRole role;
  TensorKind kind;
  const char* name;  ///< "qkv"; its bias is "qkv_bias"
  TensorShape (*shape)(const ModelConfig& config);

  /// Returns how many a model has: one, or one in each layer.
  int64_t copies(const ModelConfig& config) const {
    return is_of_layer(role) ? config.num_layers : 1;
  }
};

/// Returns the list, in the order of a model directory's files.
std::span<const TensorInfo> all_tensors();
const TensorInfo& tensor_info(TensorRole role);

/// One tensor of a model's weights.
struct TensorPlace {
  TensorRole role;
  int64_t layer = -1;  ///< of those that every layer has
  bool is_bias = false;

  /// Returns its name in a checkpoint of training: "embedding", "layers.0.qkv_bias".
  std::string name() const;
  /// Returns its sizes; none where the model lacks it.
  std::vector<int64_t> shape(const ModelConfig& config) const;
  bool is_norm() const { return tensor_info(role).kind == TensorKind::kNorm; }
  bool decays() const { return !is_norm() && !is_bias; }
};

/// A tensor of a model directory.
struct StoredTensor {
  std::string name;            ///< "model.layers.0.self_attn.q_proj.weight"
  std::string gguf_name;       ///< "blk.0.attn_q.weight"
  std::vector<int64_t> shape;  ///< matrices are (out, in)
  bool rotated = false;        ///< as in TensorPart
  TensorPlace place;           ///< the tensor that has these numbers
  int64_t first_row = 0;       ///< where they begin in it
};

/// Lists the tensors as they are written: embedding, layers, final norm, head (if not tied).
std::vector<StoredTensor> stored_tensors(const ModelConfig& config);

/// Returns the name of a tensor that a model has once: "lm_head.weight", and in GGUF
/// "output.weight".
std::string stored_name(TensorRole role);
std::string gguf_name(TensorRole role);

}  // namespace longgen
