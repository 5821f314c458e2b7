#include "longgen/plan/work.h"

#include "longgen/base/check.h"
#include "longgen/base/units.h"

namespace longgen {
namespace {

// This is far above every model; below it, no count of parameters or of their bytes passes 63 bits.
constexpr double kMaxParameters = 1e15;

void check_countable(const ModelConfig& config) {
  const auto real = [](int64_t value) { return static_cast<double>(value); };
  const double heads =
      (real(config.num_heads) + real(config.num_kv_heads)) * real(config.head_size);
  // Biases and norms of a layer are below its matrices.
  const double about =
      real(config.width) * (2 * real(config.vocab_size) +
                            real(config.num_layers) * (2 * heads + 3 * real(config.ffn_width)));
  LG_CHECK(about < kMaxParameters, "[plan] model: about ", format_si(about),
           " parameters; expected less than ", format_si(kMaxParameters), ". Check config.json.");
}

int64_t num_full(const LayerPlan& layers) {
  return static_cast<int64_t>(layers.full_layers.size());
}

/// Counts (query, key) pairs of the queries in [begin, end), over the KV heads of one layer.
double pairs_of_layer(const Pattern& pattern, int64_t num_kv_heads, int64_t begin, int64_t end) {
  if (pattern.is_full()) {
    return static_cast<double>(pattern.visited_pairs(begin, end, 0)) *
           static_cast<double>(num_kv_heads);
  }
  const Pattern heads = pattern.for_heads(num_kv_heads);
  double pairs = 0;
  for (int64_t head = 0; head < num_kv_heads; ++head) {
    pairs += static_cast<double>(heads.visited_pairs(begin, end, head));
  }
  return pairs;
}

/// Counts the entries of the matrices that every token passes in the layers.
double layer_matrices(const ModelConfig& config) {
  const ParameterCounts counts = parameter_counts(config);
  return static_cast<double>(counts.attention + counts.ffn);
}

}  // namespace

ParameterCounts parameter_counts(const ModelConfig& config) {
  check_countable(config);
  const int64_t q = config.num_heads * config.head_size;
  const int64_t kv = config.num_kv_heads * config.head_size;
  const int64_t width = config.width, ffn = config.ffn_width, layers = config.num_layers;
  ParameterCounts counts;
  counts.embedding = config.vocab_size * width;
  counts.head = config.tied_embeddings ? 0 : counts.embedding;
  counts.attention = layers * (width * (q + 2 * kv) + q * width);
  counts.ffn = layers * 3 * width * ffn;
  counts.norms = layers * (2 * width + (config.qk_norm ? 2 * config.head_size : 0)) + width;
  counts.biases = layers * ((config.qkv_bias ? q + 2 * kv : 0) + (config.output_bias ? width : 0) +
                            (config.mlp_bias ? 2 * ffn + width : 0));
  return counts;
}

Flops forward_flops(const ModelConfig& config, const LayerPlan& layers, int64_t begin, int64_t end,
                    int64_t logit_rows) {
  const auto tokens = static_cast<double>(end - begin);
  const auto head = static_cast<double>(config.vocab_size) * static_cast<double>(config.width);
  // q k^T and p v take a multiply-add each for every dimension of every query head of the KV head.
  const double per_pair = 4.0 * static_cast<double>(config.head_size) *
                          static_cast<double>(config.num_heads / config.num_kv_heads);
  const int64_t full = num_full(layers);
  Flops flops;
  flops.linear = 2 * (tokens * layer_matrices(config) + static_cast<double>(logit_rows) * head);
  flops.full_attention = per_pair * static_cast<double>(full) *
                         pairs_of_layer(Pattern(), config.num_kv_heads, begin, end);
  flops.sparse_attention = per_pair * static_cast<double>(config.num_layers - full) *
                           pairs_of_layer(layers.sparse, config.num_kv_heads, begin, end);
  return flops;
}

TrainingFlops training_flops(const ModelConfig& config, const LayerPlan& layers, int64_t num_tokens,
                             Recomputation mode) {
  TrainingFlops step;
  step.forward = forward_flops(config, layers, 0, num_tokens, num_tokens);
  step.backward = {2 * step.forward.linear, 2.5 * step.forward.full_attention,
                   2.5 * step.forward.sparse_attention};
  if (mode == Recomputation::none) return step;
  const double down = static_cast<double>(config.num_layers) * static_cast<double>(config.width) *
                      static_cast<double>(config.ffn_width);
  step.recompute.linear = 2 * static_cast<double>(num_tokens) * (layer_matrices(config) - down);
  if (mode == Recomputation::layers) {
    step.recompute.full_attention = step.forward.full_attention;
    step.recompute.sparse_attention = step.forward.sparse_attention;
  }
  return step;
}

DecodeBytes decode_bytes(const ModelConfig& config, const LayerPlan& layers, int64_t num_tokens,
                         NumberFormat format) {
  const int64_t bytes = bytes_per_number(format);
  const ParameterCounts counts = parameter_counts(config);
  const int64_t full = num_full(layers);
  const auto visible = [&](const Pattern& pattern) {
    return static_cast<int64_t>(
        pairs_of_layer(pattern, config.num_kv_heads, num_tokens - 1, num_tokens));
  };
  const int64_t tokens =
      full * visible(Pattern()) + (config.num_layers - full) * visible(layers.sparse);
  return {.weights = (counts.total() - (config.tied_embeddings ? 0 : counts.embedding)) * bytes,
          .kv = tokens * 2 * config.head_size * bytes};
}

}  // namespace longgen
