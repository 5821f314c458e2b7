#include "longgen/model/tensors.h"

#include "longgen/base/check.h"

namespace longgen {
namespace {

int64_t query_rows(const ModelConfig& c) { return c.num_heads * c.head_size; }
int64_t key_rows(const ModelConfig& c) { return c.num_kv_heads * c.head_size; }

TensorShape vector(const char* hugging_face, const char* gguf, int64_t size) {
  return {.parts = {{hugging_face, gguf, size}}};
}

TensorShape embedding(const ModelConfig& c) {
  return {.parts = {{"model.embed_tokens", "token_embd", c.vocab_size}}, .num_columns = c.width};
}

TensorShape attention_norm(const ModelConfig& c) {
  return vector("input_layernorm", "attn_norm", c.width);
}

TensorShape qkv(const ModelConfig& c) {
  const int64_t q = query_rows(c), kv = key_rows(c);
  TensorShape shape = {.parts = {{"self_attn.q_proj", "attn_q", q, /*rotated=*/true},
                                 {"self_attn.k_proj", "attn_k", kv, /*rotated=*/true},
                                 {"self_attn.v_proj", "attn_v", kv}},
                       .num_columns = c.width,
                       .has_bias = c.qkv_bias};
  if (c.fused_projections) shape.parts = {{"self_attn.qkv_proj", "attn_qkv", q + 2 * kv}};
  return shape;
}

TensorShape output(const ModelConfig& c) {
  return {.parts = {{"self_attn.o_proj", "attn_output", c.width}},
          .num_columns = query_rows(c),
          .has_bias = c.output_bias};
}

TensorShape query_norm(const ModelConfig& c) {
  return c.qk_norm ? vector("self_attn.q_norm", "attn_q_norm", c.head_size) : TensorShape{};
}

TensorShape key_norm(const ModelConfig& c) {
  return c.qk_norm ? vector("self_attn.k_norm", "attn_k_norm", c.head_size) : TensorShape{};
}

TensorShape feed_forward_norm(const ModelConfig& c) {
  return vector("post_attention_layernorm", "ffn_norm", c.width);
}

TensorShape gate_up(const ModelConfig& c) {
  TensorShape shape = {
      .parts = {{"mlp.gate_proj", "ffn_gate", c.ffn_width}, {"mlp.up_proj", "ffn_up", c.ffn_width}},
      .num_columns = c.width,
      .has_bias = c.mlp_bias};
  if (c.fused_projections) shape.parts = {{"mlp.gate_up_proj", "ffn_up", 2 * c.ffn_width}};
  return shape;
}

TensorShape down(const ModelConfig& c) {
  return {.parts = {{"mlp.down_proj", "ffn_down", c.width}},
          .num_columns = c.ffn_width,
          .has_bias = c.mlp_bias};
}

TensorShape final_norm(const ModelConfig& c) {
  return vector("model.norm", "output_norm", c.width);
}

TensorShape head(const ModelConfig& c) {
  if (c.tied_embeddings) return {};
  return {.parts = {{"lm_head", "output", c.vocab_size}}, .num_columns = c.width};
}

constexpr TensorInfo kTensors[] = {
    {TensorRole::kEmbedding, TensorKind::kEmbedding, "embedding", embedding},
    {TensorRole::kAttentionNorm, TensorKind::kNorm, "attention_norm", attention_norm},
    {TensorRole::kQkv, TensorKind::kAttention, "qkv", qkv},
    {TensorRole::kOutput, TensorKind::kAttention, "output", output},
    {TensorRole::kQueryNorm, TensorKind::kNorm, "q_norm", query_norm},
    {TensorRole::kKeyNorm, TensorKind::kNorm, "k_norm", key_norm},
    {TensorRole::kFeedForwardNorm, TensorKind::kNorm, "ffn_norm", feed_forward_norm},
    {TensorRole::kGateUp, TensorKind::kFeedForward, "gate_up", gate_up},
    {TensorRole::kDown, TensorKind::kFeedForward, "down", down},
    {TensorRole::kFinalNorm, TensorKind::kNorm, "final_norm", final_norm},
    {TensorRole::kHead, TensorKind::kHead, "head", head},
};

/// Adds what files hold of a tensor; `layer` is -1 for one of the model.
void add_stored(const TensorInfo& info, const ModelConfig& config, int64_t layer,
                std::vector<StoredTensor>& all) {
  const std::string number = std::to_string(layer) + ".";
  const std::string prefix = layer < 0 ? "" : "model.layers." + number,
                    gguf_prefix = layer < 0 ? "" : "blk." + number;
  const TensorShape shape = info.shape(config);
  int64_t first_row = 0;
  for (const TensorPart& part : shape.parts) {
    StoredTensor stored = {.name = prefix + part.hugging_face + ".weight",
                           .gguf_name = gguf_prefix + part.gguf + ".weight",
                           .shape = {part.num_rows},
                           .rotated = part.rotated,
                           .place = {info.role, layer},
                           .first_row = first_row};
    if (shape.num_columns > 0) stored.shape.push_back(shape.num_columns);
    all.push_back(stored);
    first_row += part.num_rows;
    if (!shape.has_bias) continue;
    stored.name = prefix + part.hugging_face + ".bias";
    stored.gguf_name = gguf_prefix + part.gguf + ".bias";
    stored.shape = {part.num_rows};
    stored.place.is_bias = true;
    all.push_back(std::move(stored));
  }
}

const TensorPart& only_part(const TensorShape& shape) {
  LG_DCHECK(shape.parts.size() == 1);
  return shape.parts.front();
}

}  // namespace

int64_t TensorShape::num_rows() const {
  int64_t sum = 0;
  for (const TensorPart& part : parts) sum += part.num_rows;
  return sum;
}

std::span<const TensorInfo> all_tensors() { return kTensors; }

const TensorInfo& tensor_info(TensorRole role) {
  for (const TensorInfo& info : kTensors) {
    if (info.role == role) return info;
  }
  LG_FAIL("[model] internal error: tensor role ", static_cast<int>(role), " has no row.");
}

std::string TensorPlace::name() const {
  const std::string prefix = layer < 0 ? "" : "layers." + std::to_string(layer) + ".";
  return prefix + tensor_info(role).name + (is_bias ? "_bias" : "");
}

std::vector<int64_t> TensorPlace::shape(const ModelConfig& config) const {
  const TensorShape shape = tensor_info(role).shape(config);
  if (shape.parts.empty() || (is_bias && !shape.has_bias)) return {};
  if (is_bias || shape.num_columns == 0) return {shape.num_rows()};
  return {shape.num_rows(), shape.num_columns};
}

std::vector<StoredTensor> stored_tensors(const ModelConfig& config) {
  std::vector<StoredTensor> all;
  const auto add = [&](TensorRole first, TensorRole last, int64_t layer) {
    for (const TensorInfo& info : kTensors) {
      if (info.role >= first && info.role <= last) add_stored(info, config, layer, all);
    }
  };
  add(TensorRole::kEmbedding, TensorRole::kEmbedding, -1);
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    add(kFirstLayerRole, kLastLayerRole, layer);
  }
  add(TensorRole::kFinalNorm, TensorRole::kHead, -1);
  return all;
}

std::string stored_name(TensorRole role) {
  return std::string(only_part(tensor_info(role).shape({})).hugging_face) + ".weight";
}

std::string gguf_name(TensorRole role) {
  return std::string(only_part(tensor_info(role).shape({})).gguf) + ".weight";
}

}  // namespace longgen
