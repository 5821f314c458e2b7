// model/family.h: the model families, one row each, and what transformers assumes of each where
// config.json says nothing. docs/develop/adding_a_family.md has the steps to another row.
#pragma once

#include <cstdint>
#include <string>

#include "longgen/model/config.h"

namespace longgen {

/// Whether a projection has a bias: the field of config.json that says so ("" where none does), and
/// what holds where that field is missing.
struct BiasRule {
  const char* field = "";
  bool otherwise = false;
};

struct Family {
  /// Which layers have a sliding window.
  enum class Windows {
    kIfSaid,   ///< programs do not agree about sliding_window, so that one is refused
    kAlways,   ///< all; without the field sliding_window it is 4,096 tokens
    kByLayer,  ///< with use_sliding_window those of layer_types, or those from max_window_layers on
    kAll,      ///< all, if sliding_window says one
    kMost,     ///< those of layer_types, or all but each sliding_window_pattern-th; 4,096 tokens
  };

  const char* name;          ///< model_type
  const char* architecture;  ///< what `architectures` holds
  const char* models = "";   ///< the models that a user may know it by, if they are named otherwise
  /// general.architecture of its GGUF files, which is the prefix of their keys as well; "" where
  /// longgen reads none. Of families that share one the first row counts.
  const char* gguf_architecture = "";
  bool gguf_permutes_qk = false;  ///< GGUF files hold rows of q and k for a RoPE of neighbours
  int64_t default_context;
  int64_t default_kv_heads = 0;   ///< 0: as many as query heads
  int64_t default_head_size = 0;  ///< 0: hidden_size / num_attention_heads
  BiasRule qkv_bias = {}, output_bias = {}, mlp_bias = {};
  bool has_qk_norm = false;
  double default_norm_eps = 1e-6;
  double default_rope_base = 10000;
  bool default_tied = false;
  const char* activation_field = "hidden_act";
  Activation activation = Activation::kSilu;  ///< the only one
  const char* activation_alias = "";          ///< what older files of the family call it besides
  bool has_post_norms = false;
  bool norms_add_one = false;
  bool scales_embedding = false;     ///< by sqrt(hidden_size)
  int64_t default_query_scalar = 0;  ///< of query_pre_attn_scalar; 0: the field is not read
  bool has_window_rope = false;      ///< layers with a window have a RoPE of their own
  bool fuses_projections = false;    ///< tensors qkv_proj and gate_up_proj
  bool scales_rope = true;           ///< rope_scaling of the kinds that longgen has
  Windows windows = Windows::kIfSaid;
};

/// Finds a family by model_type. Throws Error starting with `where`, listing the families.
const Family& find_family(const std::string& name, const std::string& where);

/// Finds a family by general.architecture of a GGUF file. Throws Error starting with `where`,
/// listing the architectures.
const Family& find_gguf_family(const std::string& architecture, const std::string& where);

}  // namespace longgen
