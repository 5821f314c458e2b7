// model/config.h: the shape of a model, as config.json of a Hugging Face directory gives it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/base/json.h"
#include "longgen/checkpoint/tensor_entry.h"
#include "longgen/model/layer_plan.h"
#include "longgen/ops/activation.h"

namespace longgen {

/// Rotary position embedding. Its frequencies are made from this in double, see ops/rope.h.
struct RopeConfig {
  enum class Scaling { none, linear, llama3, yarn };
  double base = 10000;
  Scaling scaling = Scaling::none;
  double factor = 1;
  int64_t original_context = 0;                      ///< llama3 and yarn: before scaling
  double low_freq_factor = 1, high_freq_factor = 4;  ///< llama3
  double beta_fast = 32, beta_slow = 1;              ///< yarn
  bool truncate = true;                              ///< yarn: whole-numbered correction range
  /// yarn: cos and sin are multiplied by it; derived from factor (and mscale) where not given.
  double attention_factor = 1;
  bool operator==(const RopeConfig&) const = default;
};

/// The families (family.h) differ only in the flags below.
struct ModelConfig {
  std::string family;
  int64_t num_layers = 0, width = 0, ffn_width = 0, vocab_size = 0;
  int64_t num_heads = 0, num_kv_heads = 0, head_size = 0;
  int64_t context = 0;  ///< max_position_embeddings: the longest input the model is made for
  double norm_eps = 1e-5;
  double init_std = 0.02;
  bool tied_embeddings = false;
  bool qkv_bias = false, output_bias = false, mlp_bias = false;
  bool qk_norm = false;            ///< RMS norm of every head of q and k before RoPE
  bool fused_projections = false;  ///< files hold q, k, v in one tensor, and gate, up in one
  bool post_norms = false;  ///< norms of what attention and feed-forward give, before it is added
  bool norms_add_one = false;  ///< norms multiply by 1 + weight, not by the weight
  Activation activation = Activation::kSilu;
  double embedding_scale = 1;  ///< of the embedding's rows; rounded to the type that computes
  std::optional<int64_t> query_scalar = {};  ///< scores are divided by its root, not head_size's
  RopeConfig rope = {};
  std::optional<RopeConfig> window_rope = {};  ///< of layers with a window, if they have their own
  std::optional<RopeConfig> sparse_rope = {};  ///< of sparse layers, if they have their own
  std::optional<int64_t> bos_id = {};
  std::vector<int64_t> eos_ids = {};

  /// All full, but for windows of the family's own and what config.json's "longgen" object says.
  LayerPlan layers = {};
  int64_t original_context = 0;   ///< before convert or extend; equal to context for other models
  double original_rope_base = 0;  ///< the same for rope.base
  Json raw;  ///< the object as read; fields that longgen does not know are kept (config_fields.h)

  bool is_hybrid() const { return layers.is_hybrid(); }
  int64_t num_parameters() const;
  Pattern pattern(int64_t layer) const { return layers.pattern(layer, num_kv_heads); }
};

/// Reads the text of a config.json. Throws Error naming `source`, the field, what was expected and
/// what was found, also on families and features that longgen does not have. config_limits.h has
/// the largest sizes.
ModelConfig parse_model_config(const std::string& text, const std::string& source);

/// Reads config.json of a model directory. Where it ties output layer and embedding, and the
/// weights hold an output layer with other numbers (a merged adapter), tied_embeddings is false:
/// the weights count. Everything else is as in parse_model_config(); the weights need not be there.
ModelConfig load_model_config(const fs::path& model_directory);

/// Writes the text of config.json: `raw` with every field that longgen knows set anew. transformers
/// 4 and 5 read it.
std::string dump_model_config(const ModelConfig& config);

/// Notes in `raw` how the weights are stored (f32, f16 or bf16), which is the type that
/// transformers loads them in.
void set_stored_dtype(ModelConfig& config, DType dtype);

}  // namespace longgen
