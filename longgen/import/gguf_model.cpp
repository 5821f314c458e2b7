#include "longgen/import/gguf_model.h"

#include <algorithm>
#include <array>
#include <map>
#include <unordered_set>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/checkpoint/dequantize.h"
#include "longgen/checkpoint/tensor_entry.h"
#include "longgen/import/gguf_rope.h"
#include "longgen/model/family.h"
#include "longgen/model/weight_names.h"

namespace longgen {
namespace {

/// Parts of Hugging Face names and what GGUF calls them.
constexpr std::array<std::pair<const char*, const char*>, 11> kLayerNames = {
    {{"input_layernorm", "attn_norm"},
     {"self_attn.q_proj", "attn_q"},
     {"self_attn.k_proj", "attn_k"},
     {"self_attn.v_proj", "attn_v"},
     {"self_attn.o_proj", "attn_output"},
     {"self_attn.q_norm", "attn_q_norm"},
     {"self_attn.k_norm", "attn_k_norm"},
     {"post_attention_layernorm", "ffn_norm"},
     {"mlp.gate_proj", "ffn_gate"},
     {"mlp.up_proj", "ffn_up"},
     {"mlp.down_proj", "ffn_down"}}};

std::string gguf_name(const std::string& name) {
  if (name == "model.embed_tokens.weight") return "token_embd.weight";
  if (name == "model.norm.weight") return "output_norm.weight";
  if (name == "lm_head.weight") return "output.weight";
  constexpr std::string_view kPrefix = "model.layers.";
  const size_t dot = name.find('.', kPrefix.size());  // after the layer's number
  const size_t last = name.rfind('.');                // before weight or bias
  const std::string part = name.substr(dot + 1, last - dot - 1);
  for (const auto& [theirs, ours] : kLayerNames) {
    if (part == theirs) {
      return "blk." + name.substr(kPrefix.size(), dot - kPrefix.size()) + "." + ours +
             name.substr(last);
    }
  }
  LG_FAIL("[gguf] internal error: no GGUF name for tensor ", name, ". Please report this.");
}

}  // namespace

GgufWeights::GgufWeights(const GgufFile& file, const ModelConfig& config)
    : file_(file), config_(config) {
  std::unordered_set<std::string> wanted = {kGgufRopeFactors};
  for (const WeightShape& weight : weight_shapes(config)) {
    const GgufFile::Tensor& tensor = find(weight.name);
    LG_CHECK(tensor.shape == weight.shape, file.source(), ": tensor ", tensor.name,
             ": expected shape ", format_shape(weight.shape), " (", weight.name, "), found ",
             format_shape(tensor.shape), ".");
    LG_CHECK(can_dequantize(tensor.type), file.source(), ": tensor ", tensor.name, " has type ",
             ggml_type_name(tensor.type),
             ", which longgen cannot expand. It reads F32, F16, BF16, ",
             "Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K and Q6_K.");
    wanted.insert(tensor.name);
  }
  for (const GgufFile::Tensor& tensor : file.tensors()) {
    LG_CHECK(wanted.contains(tensor.name), file.source(), ": tensor ", printable(tensor.name),
             " is no part of a ", config.family, " model of ", config.num_layers,
             " layers. longgen would run the model without it, and wrongly.");
  }
}

const GgufFile::Tensor& GgufWeights::find(const std::string& hugging_face_name) const {
  const std::string name = gguf_name(hugging_face_name);
  const GgufFile::Tensor* tensor = file_.find(name);
  LG_CHECK(tensor != nullptr, file_.source(), ": tensor ", name, " is missing.");
  return *tensor;
}

std::vector<float> GgufWeights::read(const std::string& hugging_face_name) const {
  const GgufFile::Tensor& tensor = find(hugging_face_name);
  std::vector<float> values(tensor.num_elements());
  dequantize(tensor.type, tensor.bytes, values);
  const bool is_query = hugging_face_name.find(".q_proj.") != std::string::npos;
  const bool is_key = hugging_face_name.find(".k_proj.") != std::string::npos;
  const Family& family = find_family(config_.family, "[gguf] family");
  if (!family.gguf_permutes_qk || !(is_query || is_key)) return values;

  // Row 2 i + j of a head in the file is row j D / 2 + i here.
  const int64_t heads = is_query ? config_.num_heads : config_.num_kv_heads;
  const int64_t half = config_.head_size / 2;
  const int64_t columns = static_cast<int64_t>(values.size()) / (heads * config_.head_size);
  std::vector<float> ordered(values.size());
  for (int64_t head = 0; head < heads; ++head) {
    for (int64_t row = 0; row < config_.head_size; ++row) {
      const int64_t from = head * config_.head_size + 2 * (row % half) + row / half;
      const int64_t to = head * config_.head_size + row;
      std::copy_n(values.begin() + from * columns, columns, ordered.begin() + to * columns);
    }
  }
  return ordered;
}

std::string GgufWeights::types() const {
  std::map<std::string, size_t> bytes;
  for (const GgufFile::Tensor& tensor : file_.tensors()) {
    bytes[std::string(ggml_type_name(tensor.type))] += tensor.bytes.size();
  }
  std::vector<std::pair<size_t, std::string>> sorted;
  for (const auto& [name, size] : bytes) sorted.emplace_back(size, name);
  std::sort(sorted.rbegin(), sorted.rend());
  std::string text;
  for (const auto& [size, name] : sorted) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace longgen
