#include "longgen/model/family.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/base/nearest_name.h"
#include "longgen/checkpoint/tensor_entry.h"

namespace longgen {
namespace {

// A row says what differs from Family's own defaults. The defaults of fields are transformers 5's.
constexpr Family kFamilies[] = {
    {.name = "llama",
     .architecture = "LlamaForCausalLM",
     .models = "Llama 2 to 3.2 and SmolLM2",
     .gguf_architecture = "llama",
     .gguf_permutes_qk = true,
     .default_context = 2048,
     .qkv_bias = {.field = "attention_bias"},
     .output_bias = {.field = "attention_bias"},
     .mlp_bias = {.field = "mlp_bias"}},
    {.name = "mistral",
     .architecture = "MistralForCausalLM",
     .gguf_architecture = "llama",
     .gguf_permutes_qk = true,
     .default_context = 131072,
     .default_kv_heads = 8,
     .windows = Family::Windows::kAlways},
    {.name = "qwen2",
     .architecture = "Qwen2ForCausalLM",
     .models = "Qwen2.5",
     .gguf_architecture = "qwen2",
     .default_context = 32768,
     .default_kv_heads = 32,
     .qkv_bias = {.otherwise = true},
     .windows = Family::Windows::kByLayer},
    {.name = "qwen3",
     .architecture = "Qwen3ForCausalLM",
     .gguf_architecture = "qwen3",
     .default_context = 32768,
     .default_kv_heads = 32,
     .default_head_size = 128,
     .qkv_bias = {.field = "attention_bias"},
     .output_bias = {.field = "attention_bias"},
     .has_qk_norm = true,
     .windows = Family::Windows::kByLayer},
    {.name = "seed_oss",
     .architecture = "SeedOssForCausalLM",
     .default_context = 524288,
     .default_kv_heads = 8,
     .default_head_size = 128,
     .qkv_bias = {.field = "attention_bias", .otherwise = true},
     .output_bias = {.field = "attention_out_bias"},
     .mlp_bias = {.field = "mlp_bias"}},
    {.name = "phi3",
     .architecture = "Phi3ForCausalLM",
     .models = "Phi-4",
     .gguf_architecture = "phi3",
     .default_context = 4096,
     .default_norm_eps = 1e-5,
     .fuses_projections = true,
     .scales_rope = false,
     .windows = Family::Windows::kAll},
    {.name = "gemma",
     .architecture = "GemmaForCausalLM",
     .models = "CodeGemma",
     .gguf_architecture = "gemma",
     .default_context = 8192,
     .default_kv_heads = 16,
     .default_head_size = 256,
     .qkv_bias = {.field = "attention_bias"},
     .output_bias = {.field = "attention_bias"},
     .default_tied = true,
     .activation = Activation::kGeluTanh,
     .activation_alias = "gelu",
     .norms_add_one = true,
     .scales_embedding = true},
    {.name = "gemma3_text",
     .architecture = "Gemma3ForCausalLM",
     .gguf_architecture = "gemma3",
     .default_context = 131072,
     .default_kv_heads = 4,
     .default_head_size = 256,
     .qkv_bias = {.field = "attention_bias"},
     .output_bias = {.field = "attention_bias"},
     .has_qk_norm = true,
     .default_rope_base = 1e6,
     .default_tied = true,
     .activation_field = "hidden_activation",
     .activation = Activation::kGeluTanh,
     .has_post_norms = true,
     .norms_add_one = true,
     .scales_embedding = true,
     .default_query_scalar = 256,
     .has_window_rope = true,
     .windows = Family::Windows::kMost},
};

/// Writes "a, b or c" of one column, each name once.
std::string listed(const char* Family::*column) {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) {
    const std::string name = family.*column;
    if (!name.empty() && std::ranges::find(names, name) == names.end()) names.push_back(name);
  }
  return listed_names(names);
}

/// Writes "Qwen2.5 is qwen2, ...".
std::string known_by_other_names() {
  std::string text;
  for (const Family& family : kFamilies) {
    const std::string_view models = family.models;
    if (models.empty()) continue;
    const char* verb = models.find(" and ") == std::string_view::npos ? " is " : " are ";
    text += (text.empty() ? "" : ", ") + std::string(models) + verb + family.name;
  }
  return text;
}

}  // namespace

const Family& find_family(const std::string& name, const std::string& where) {
  for (const Family& family : kFamilies) {
    if (name == family.name) return family;
  }
  LG_FAIL(where, ": expected ", listed(&Family::name), ", found \"", printable(name),
          "\". longgen has no other family (", known_by_other_names(), ").");
}

const Family& find_gguf_family(const std::string& architecture, const std::string& where) {
  for (const Family& family : kFamilies) {
    if (!architecture.empty() && architecture == family.gguf_architecture) return family;
  }
  LG_FAIL(where, ": expected ", listed(&Family::gguf_architecture), ", found \"",
          printable(architecture), "\". longgen has no other family in GGUF files.");
}

}  // namespace longgen
