#include "longgen/plan/presets.h"

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/base/nearest_name.h"

namespace longgen {
namespace {

/// The numbers of one config.json. Each row names the repository on huggingface.co that publishes
/// it; plan_test holds the parameter counts against the published totals.
struct Shape {
  const char* name;
  const char* family;
  int64_t num_layers, width, ffn_width, vocab_size;
  int64_t num_heads, num_kv_heads, head_size;
  int64_t context;
  double rope_base, norm_eps;
  int64_t bos_id, eos_id;
  double init_std = 0.02;
  bool tied_embeddings = false;
};

constexpr Shape kShapes[] = {
    // meta-llama/Llama-2-7b-hf, meta-llama/Llama-2-70b-hf
    {"llama2-7b", "llama", 32, 4096, 11008, 32000, 32, 32, 128, 4096, 1e4, 1e-5, 1, 2},
    {"llama2-70b", "llama", 80, 8192, 28672, 32000, 64, 8, 128, 4096, 1e4, 1e-5, 1, 2},
    // meta-llama/Meta-Llama-3-8B, meta-llama/Meta-Llama-3-70B
    {"llama3-8b", "llama", 32, 4096, 14336, 128256, 32, 8, 128, 8192, 5e5, 1e-5, 128000, 128001},
    {"llama3-70b", "llama", 80, 8192, 28672, 128256, 64, 8, 128, 8192, 5e5, 1e-5, 128000, 128001},
    // HuggingFaceTB/SmolLM2-135M-Instruct; initializer_range is 1 / sqrt(576)
    {"smollm2-135m", "llama", 30, 576, 1536, 49152, 9, 3, 64, 8192, 1e5, 1e-5, 1, 2, 1.0 / 24,
     true},
    // Qwen/Qwen2.5-7B
    {"qwen2.5-7b", "qwen2", 28, 3584, 18944, 152064, 28, 4, 128, 131072, 1e6, 1e-6, 151643, 151643},
    // Qwen/Qwen3-8B
    {"qwen3-8b", "qwen3", 36, 4096, 12288, 151936, 32, 8, 128, 40960, 1e6, 1e-6, 151643, 151645},
    // mistralai/Mistral-7B-Instruct-v0.2, which is v0.1 without the sliding window
    {"mistral-7b", "mistral", 32, 4096, 14336, 32000, 32, 8, 128, 32768, 1e6, 1e-5, 1, 2},
};

ModelConfig config_of(const Shape& shape) {
  const Json config = {{"model_type", shape.family},
                       {"num_hidden_layers", shape.num_layers},
                       {"hidden_size", shape.width},
                       {"intermediate_size", shape.ffn_width},
                       {"vocab_size", shape.vocab_size},
                       {"num_attention_heads", shape.num_heads},
                       {"num_key_value_heads", shape.num_kv_heads},
                       {"head_dim", shape.head_size},
                       {"max_position_embeddings", shape.context},
                       {"rope_theta", shape.rope_base},
                       {"rms_norm_eps", shape.norm_eps},
                       {"initializer_range", shape.init_std},
                       {"tie_word_embeddings", shape.tied_embeddings},
                       {"sliding_window", nullptr},
                       {"bos_token_id", shape.bos_id},
                       {"eos_token_id", shape.eos_id}};
  return parse_model_config(dump_json(config), shape.name);
}

}  // namespace

std::optional<ModelConfig> find_preset(const std::string& name) {
  for (const Shape& shape : kShapes) {
    if (name == shape.name) return config_of(shape);
  }
  return std::nullopt;
}

ModelConfig preset(const std::string& name) {
  if (auto config = find_preset(name)) return *std::move(config);
  LG_FAIL("[plan] model \"", name, "\" is no preset. Expected a model directory or one of ",
          listed_names(preset_names()), ".", did_you_mean(name, preset_names()));
}

ModelConfig preset_or_directory(const std::string& name) {
  if (auto config = find_preset(name)) return *std::move(config);
  if (!fs::exists(name)) return preset(name);
  return load_model_config(name);
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const Shape& shape : kShapes) names.emplace_back(shape.name);
  return names;
}

}  // namespace longgen
