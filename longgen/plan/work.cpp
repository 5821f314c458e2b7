#include "longgen/plan/work.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/model/tensors.h"

namespace longgen {
namespace {

// This is far above every model; below it, no count of parameters or of their bytes passes 63 bits.
constexpr double kMaxParameters = 1e15;

void check_countable(const ModelConfig& config) {
  const auto real = [](int64_t value) { return static_cast<double>(value); };
  // The rows of all heads are a product themselves: the list is asked only where that has 63 bits.
  double about = (real(config.num_heads) + 2 * real(config.num_kv_heads)) * real(config.head_size);
  if (about < kMaxParameters) {
    about = 0;
    for (const TensorInfo& tensor : all_tensors()) {
      const TensorShape shape = tensor.shape(config);
      about += real(tensor.copies(config)) * real(shape.num_rows()) *
               real(std::max<int64_t>(1, shape.num_columns));
    }
  }
  LG_CHECK(about < kMaxParameters, "[plan] model: about ", format_si(about),
           " parameters; expected less than ", format_si(kMaxParameters), ". Check config.json.");
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

int64_t& count_of(TensorKind kind, ParameterCounts& counts) {
  switch (kind) {
    case TensorKind::kEmbedding:
      return counts.embedding;
    case TensorKind::kAttention:
      return counts.attention;
    case TensorKind::kFeedForward:
      return counts.ffn;
    case TensorKind::kNorm:
      return counts.norms;
    case TensorKind::kHead:
      return counts.head;
  }
  LG_FAIL("[plan] internal error: tensor kind ", static_cast<int>(kind), " does not exist.");
}

/// Counts the entries of the matrices that every token passes in the layers.
double layer_matrices(const ModelConfig& config) {
  const ParameterCounts counts = parameter_counts(config);
  return static_cast<double>(counts.attention + counts.ffn);
}

Flops backward_flops(const Flops& forward) {
  return {2 * forward.linear, 2.5 * forward.full_attention, 2.5 * forward.sparse_attention};
}

}  // namespace

ParameterCounts parameter_counts(const ModelConfig& config) {
  check_countable(config);
  ParameterCounts counts;
  for (const TensorInfo& tensor : all_tensors()) {
    const TensorShape shape = tensor.shape(config);
    count_of(tensor.kind, counts) += tensor.copies(config) * shape.num_elements();
    counts.biases += tensor.copies(config) * shape.num_biases();
  }
  return counts;
}

Flops forward_flops(const ModelConfig& config, const LayerPlan& layers, int64_t begin, int64_t end,
                    int64_t logit_rows) {
  const auto tokens = static_cast<double>(end - begin);
  const auto head = static_cast<double>(config.vocab_size) * static_cast<double>(config.width);
  // q k^T and p v take a multiply-add each for every dimension of every query head of the KV head.
  const double per_pair = 4.0 * static_cast<double>(config.head_size) *
                          static_cast<double>(config.num_heads / config.num_kv_heads);
  Flops flops;
  flops.linear = 2 * (tokens * layer_matrices(config) + static_cast<double>(logit_rows) * head);
  for (int64_t c = 0; c < layers.num_classes(); ++c) {
    double& sum = c == LayerPlan::kFull ? flops.full_attention : flops.sparse_attention;
    sum += per_pair * static_cast<double>(layers.count(c)) *
           pairs_of_layer(layers.pattern_of_class(c), config.num_kv_heads, begin, end);
  }
  return flops;
}

Flops objective_flops(const ModelConfig& config, const LayerPlan& layers, int64_t num_tokens,
                      const ObjectiveLoad& load) {
  Flops flops;
  const auto add = [&](const Flops& more) {
    flops.linear += more.linear;
    flops.full_attention += more.full_attention;
    flops.sparse_attention += more.sparse_attention;
  };
  if (load.teacher != nullptr) {
    add(forward_flops(*load.teacher, load.teacher->layers, 0, num_tokens, num_tokens));
  }
  if (!load.far_weight) return flops;
  const Pattern& sparse = layers.sparse();
  LayerPlan near = LayerPlan::hybrid(config.num_layers, {},
                                     Pattern::sparse(sparse.sink_blocks(), sparse.window_blocks()));
  for (const int64_t layer : layers.window_layers()) {
    near = near.with_pattern({layer}, layers.pattern_of_class(layers.class_of(layer)));
  }
  add(forward_flops(config, near, 0, num_tokens, 2 * num_tokens));
  return flops;
}

TrainingFlops training_flops(const ModelConfig& config, const LayerPlan& layers, int64_t num_tokens,
                             Recomputation mode, const ObjectiveLoad& load) {
  TrainingFlops step;
  step.objective = objective_flops(config, layers, num_tokens, load);
  step.forward = forward_flops(config, layers, 0, num_tokens, num_tokens);
  step.backward = backward_flops(step.forward);
  if (mode == Recomputation::none) return step;
  const TensorInfo& down_info = tensor_info(TensorRole::kDown);
  const auto down =
      static_cast<double>(down_info.copies(config) * down_info.shape(config).num_elements());
  step.recompute.linear = 2 * static_cast<double>(num_tokens) * (layer_matrices(config) - down);
  if (config.post_norms) {  // the norm after the network reads its output: another pass through it
    step.recompute.linear +=
        2 * static_cast<double>(num_tokens) * static_cast<double>(parameter_counts(config).ffn);
  }
  if (mode == Recomputation::layers) {
    step.recompute.full_attention = step.forward.full_attention;
    step.recompute.sparse_attention = step.forward.sparse_attention;
  }
  return step;
}

TrainingFlops alignment_flops(const ModelConfig& config, const LayerPlan& layers,
                              int64_t num_tokens) {
  TrainingFlops step;
  step.objective = forward_flops(config, layers.without_sparse(), 0, num_tokens, 0);
  const Flops hybrid = forward_flops(config, layers, 0, num_tokens, 0);
  const auto num_sparse = static_cast<double>(layers.num_layers() - layers.count(LayerPlan::kFull) -
                                              static_cast<int64_t>(layers.window_layers().size()));
  const double attention = static_cast<double>(parameter_counts(config).attention) /
                           static_cast<double>(config.num_layers);
  step.forward = {.linear = 2 * static_cast<double>(num_tokens) * num_sparse * attention,
                  .sparse_attention = hybrid.sparse_attention - step.objective.sparse_attention};
  step.backward = backward_flops(step.forward);
  return step;
}

DecodeBytes decode_bytes(const ModelConfig& config, const LayerPlan& layers, int64_t num_tokens,
                         NumberFormat format) {
  const int64_t bytes = bytes_per_number(format);
  const ParameterCounts counts = parameter_counts(config);
  int64_t tokens = 0;
  for (int64_t c = 0; c < layers.num_classes(); ++c) {
    tokens += layers.count(c) *
              static_cast<int64_t>(pairs_of_layer(layers.pattern_of_class(c), config.num_kv_heads,
                                                  num_tokens - 1, num_tokens));
  }
  return {.weights = (counts.total() - (config.tied_embeddings ? 0 : counts.embedding)) * bytes,
          .kv = tokens * 2 * config.head_size * bytes};
}

}  // namespace longgen
