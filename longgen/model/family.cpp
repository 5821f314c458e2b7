#include "longgen/model/family.h"

#include "longgen/base/check.h"

namespace longgen {
namespace {

// The defaults are those of transformers 5.
constexpr Family kFamilies[] = {
    {.name = "llama",
     .architecture = "LlamaForCausalLM",
     .default_context = 2048,
     .default_kv_heads = 0,
     .default_head_size = 0,
     .reads_attention_bias = true,
     .reads_mlp_bias = true,
     .has_qkv_bias = false,
     .has_qk_norm = false,
     .windows = Family::Windows::kIfSaid},
    {.name = "mistral",
     .architecture = "MistralForCausalLM",
     .default_context = 131072,
     .default_kv_heads = 8,
     .default_head_size = 0,
     .reads_attention_bias = false,
     .reads_mlp_bias = false,
     .has_qkv_bias = false,
     .has_qk_norm = false,
     .windows = Family::Windows::kAlways},
    {.name = "qwen2",
     .architecture = "Qwen2ForCausalLM",
     .default_context = 32768,
     .default_kv_heads = 32,
     .default_head_size = 0,
     .reads_attention_bias = false,
     .reads_mlp_bias = false,
     .has_qkv_bias = true,
     .has_qk_norm = false,
     .windows = Family::Windows::kByLayer},
    {.name = "qwen3",
     .architecture = "Qwen3ForCausalLM",
     .default_context = 32768,
     .default_kv_heads = 32,
     .default_head_size = 128,
     .reads_attention_bias = true,
     .reads_mlp_bias = false,
     .has_qkv_bias = false,
     .has_qk_norm = true,
     .windows = Family::Windows::kByLayer},
};

}  // namespace

const Family& find_family(const std::string& name, const std::string& where) {
  for (const Family& family : kFamilies) {
    if (name == family.name) return family;
  }
  LG_FAIL(where, ": expected llama, mistral, qwen2 or qwen3, found \"", name,
          "\". longgen has these four families (Llama 2 to 3.2 and SmolLM2 are llama, Qwen2.5 is "
          "qwen2).");
}

}  // namespace longgen
