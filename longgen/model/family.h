// model/family.h: the model families, and what transformers assumes of
// each where config.json says nothing.
#pragma once

#include <cstdint>
#include <string>

namespace longgen {

struct Family {
  /// Which layers have a sliding window.
  enum class Windows {
    kIfSaid,   ///< all, if sliding_window says one
    kAlways,   ///< all; without the field sliding_window it is 4,096 tokens
    kByLayer,  ///< with use_sliding_window those of layer_types, or those from max_window_layers on
  };

  const char* name;          ///< model_type
  const char* architecture;  ///< what `architectures` holds
  int64_t default_context;
  int64_t default_kv_heads;   ///< 0: as many as query heads
  int64_t default_head_size;  ///< 0: hidden_size / num_attention_heads
  bool reads_attention_bias;  ///< attention_bias: of q, k, v and output
  bool reads_mlp_bias;        ///< mlp_bias: of gate, up and down
  bool has_qkv_bias;          ///< of q, k and v, always
  bool has_qk_norm;           ///< always
  Windows windows;
};

/// Throws Error starting with `where` on a name other than llama, mistral, qwen2 and qwen3.
const Family& find_family(const std::string& name, const std::string& where);

}  // namespace longgen
