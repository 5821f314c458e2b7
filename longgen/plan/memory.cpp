#include "longgen/plan/memory.h"

#include <algorithm>
#include <initializer_list>

#include "longgen/base/check.h"
#include "longgen/kv_cache/page_layout.h"

namespace longgen {
namespace {

constexpr int64_t kFloatBytes = 4;  // logits, log-sum-exps and RoPE tables are fp32 at any format

/// Returns the product of sizes >= 0, or kMaxItemBytes where it is larger.
int64_t product(std::initializer_list<int64_t> factors) {
  int64_t result = 1;
  for (int64_t factor : factors) {
    if (factor == 0) return 0;
    if (result > kMaxItemBytes / factor) {
      result = kMaxItemBytes;
    } else {
      result *= factor;
    }
  }
  return result;
}

int64_t capped_sum(int64_t a, int64_t b) { return std::min(a + b, kMaxItemBytes); }

/// The widths of a layer's tensors, in numbers per token.
struct Widths {
  explicit Widths(const ModelConfig& config)
      : model(config.width),
        ffn(config.ffn_width),
        q(config.num_heads * config.head_size),
        kv(config.num_kv_heads * config.head_size),
        normed(config.qk_norm ? q + kv : 0),
        post(config.post_norms ? config.width : 0) {}
  int64_t qkv() const { return q + 2 * kv; }

  int64_t model, ffn, q, kv;
  int64_t normed;  // q and k after their norms, before RoPE
  int64_t post;    // what a norm after attention, or after the feed-forward network, reads
};

/// A token has cosines and sines of its position, and a log-sum-exp of every head.
int64_t float_bytes_per_token(const ModelConfig& config) {
  const int64_t tables = 1 + (config.window_rope ? 1 : 0) + (config.sparse_rope ? 1 : 0);
  return kFloatBytes * (tables * config.head_size + config.num_heads);
}

/// Returns the most rows that the feed-forward network takes at once.
int64_t feed_forward_rows(int64_t num_tokens) {
  return std::min(num_tokens, kPlannedFeedForwardRows);
}

/// Counts the numbers of a decoder layer without gradients, at its two fullest moments: inside the
/// attention, and inside the feed-forward network, beside the sum, its norm and the result.
int64_t forward_numbers(const Widths& w, int64_t num_tokens) {
  const int64_t attention = w.model + w.qkv() + w.normed + (w.q + w.kv) + w.q;
  return std::max(product({num_tokens, attention}),
                  capped_sum(product({num_tokens, 3 * w.model}),
                             product({feed_forward_rows(num_tokens), 3 * w.ffn})));
}

/// The backward pass of a layer's attention reads, beside the layer's input: the output of the
/// norm, v (where q and k have norms: all of q, k, v), q and k after their norms and after RoPE,
/// the attention's output, and what a norm after it reads.
int64_t attention_width(const Widths& w) {
  const int64_t before_rope = w.normed > 0 ? w.qkv() + w.normed : w.kv;
  return w.model + before_rope + (w.q + w.kv) + w.q + w.post;
}

/// The rest of the layer reads, beside gate and up, the sum after the attention and its norm, and
/// the network's output where a norm follows it.
int64_t rest_width(const Widths& w) { return 2 * w.model + w.post; }

/// Counts the numbers of one layer in the backward pass at its fullest moment. In the feed-forward
/// network: the gradients of its output and input and, for the rows of a chunk, of gate, up and
/// their product, with gate and up where they are computed again; then the gradient of the sum
/// instead. In the attention: the gradients of the sum, of the attention's output and of q, k, v.
/// Beside these stands what is computed again.
int64_t backward_numbers(const Widths& w, int64_t num_tokens, bool recomputes) {
  const int64_t chunk = product({feed_forward_rows(num_tokens), (recomputes ? 5 : 3) * w.ffn});
  const int64_t ffn =
      capped_sum(product({num_tokens, (recomputes ? rest_width(w) : 0) + 2 * w.model}),
                 std::max(chunk, product({num_tokens, w.model})));
  const int64_t attention = product({num_tokens, w.model + w.q + w.qkv()});
  const int64_t again = recomputes ? product({num_tokens, attention_width(w)}) : 0;
  return capped_sum(again, std::max(ffn, attention));
}

/// The backward pass of the CPU's attention makes three copies in fp32: keys as they are and
/// transposed, values transposed. It also adds up two gradients for every part of the queries that
/// is computed for itself: a full layer has up to four parts, each with all keys before its end, so
/// that on average 2.5 of them hold a key; a sparse layer has less.
int64_t cpu_attention_bytes(const ModelConfig& config, int64_t num_tokens) {
  constexpr int64_t kPad = 16, kCopies = 3 + 5;
  const int64_t padded = (config.head_size + kPad - 1) / kPad * kPad;
  return product({num_tokens, config.num_kv_heads, padded, kFloatBytes, kCopies});
}

int64_t program_bytes(const ModelConfig& config) {
  return capped_sum(kProgramBytes, product({config.vocab_size, kTokenizerBytesPerToken}));
}

int64_t parameter_bytes(const ModelConfig& config, NumberFormat format) {
  return product({parameter_counts(config).total(), bytes_per_number(format)});
}

/// Counts a decoder layer without gradients, with the tables and log-sum-exps of its tokens.
int64_t forward_bytes(const ModelConfig& config, int64_t num_tokens, int64_t bytes) {
  return capped_sum(product({forward_numbers(Widths(config), num_tokens), bytes}),
                    product({num_tokens, float_bytes_per_token(config)}));
}

/// What every step has, whatever it learns from.
MemoryPlan states_memory(const ModelConfig& config, NumberFormat format,
                         const TrainingOptions& options) {
  return {.items = {
              {"weights", parameter_bytes(config, format)},
              {"masters", options.masters == format ? 0 : parameter_bytes(config, options.masters)},
              {"gradients", parameter_bytes(config, options.gradients)},
              {"Adam m", parameter_bytes(config, options.optimizer)},
              {"Adam v", parameter_bytes(config, options.optimizer)}}};
}

/// Counts the weights of a teacher that is not the model itself.
int64_t own_weights_bytes(const ObjectiveLoad& load, NumberFormat format) {
  if (load.teacher == nullptr || load.teacher_is_self) return 0;
  return parameter_bytes(*load.teacher, format);
}

void add_kept_activations(const ModelConfig& config, int64_t num_tokens, int64_t bytes,
                          const TrainingOptions& options, MemoryPlan& plan) {
  const Widths w(config);
  const int64_t lse = product({config.num_layers, num_tokens, config.num_heads, kFloatBytes});
  int64_t inputs = config.num_layers;
  if (options.offload == Offloading::layer_inputs) {
    plan.host_bytes = product({inputs - 1, num_tokens, w.model, bytes});  // the last one stays
    inputs = std::min<int64_t>(inputs, 2);
  }
  plan.items.push_back({"layer inputs", product({inputs, num_tokens, w.model, bytes})});
  const Recomputation recompute = options.recompute;
  if (recompute == Recomputation::layers_keep_attention) {
    plan.items.push_back({"attention outputs",
                          capped_sum(product({config.num_layers, num_tokens, w.q, bytes}), lse)});
  } else if (recompute == Recomputation::none) {
    plan.items.push_back(
        {"activations", capped_sum(product({config.num_layers, num_tokens,
                                            attention_width(w) + rest_width(w) + 2 * w.ffn, bytes}),
                                   lse)});
  }
}

}  // namespace

int64_t MemoryPlan::total_bytes() const {
  int64_t total = 0;
  for (const MemoryItem& item : items) total += item.bytes;
  return total;
}

int64_t MemoryPlan::bytes(const std::string& name) const {
  for (const MemoryItem& item : items) {
    if (item.name == name) return item.bytes;
  }
  LG_FAIL("[plan] no memory item \"", name, "\".");
}

bool MemoryPlan::has(const std::string& name) const {
  return std::any_of(items.begin(), items.end(),
                     [&](const MemoryItem& item) { return item.name == name; });
}

KvBytes kv_bytes(const ModelConfig& config, const LayerPlan& layers, int64_t num_tokens,
                 NumberFormat format, int64_t prefill_chunk) {
  const KvLayout layout(
      layers, KvShape{config.num_layers, config.num_kv_heads, config.head_size, page_type(format)});
  const auto bytes = [&](int64_t pages) { return product({pages, layout.page_bytes()}); };
  return {.held = bytes(layout.pages_held(num_tokens)),
          .decode_peak = bytes(layout.pages_peak(0, num_tokens, 1)),
          .prefill_peak = bytes(layout.pages_peak(0, num_tokens, prefill_chunk))};
}

MemoryPlan serving_memory(const ModelConfig& config, const LayerPlan& layers, NumberFormat format,
                          const ServingLoad& load) {
  const int64_t bytes = bytes_per_number(format);
  const int64_t chunk = std::min(load.prefill_chunk, load.num_tokens);
  const KvBytes kv = kv_bytes(config, layers, load.num_tokens, format, chunk);
  const int64_t workspace = forward_bytes(config, chunk, bytes);
  MemoryPlan plan;
  plan.items = {
      {"weights", parameter_bytes(config, format)},
      {"KV cache", capped_sum(kv.prefill_peak, product({load.num_sequences - 1, kv.decode_peak}))},
      {"prefill workspace", workspace},
      {"logits", product({load.num_sequences, config.vocab_size, kFloatBytes})}};
  if (load.on_cpu) plan.items.push_back({"program", program_bytes(config)});
  return plan;
}

MemoryPlan training_memory(const ModelConfig& config, int64_t num_tokens, NumberFormat format,
                           const TrainingOptions& options) {
  const int64_t bytes = bytes_per_number(format);
  const Widths w(config);
  MemoryPlan plan = states_memory(config, format, options);
  add_kept_activations(config, num_tokens, bytes, options, plan);
  const int64_t numbers = backward_numbers(w, num_tokens, options.recompute != Recomputation::none);
  const int64_t copies = options.on_cpu ? cpu_attention_bytes(config, num_tokens) : 0;
  const int64_t floats = product({num_tokens, float_bytes_per_token(config)});
  const ModelConfig* teacher = options.objective.teacher.get();
  // A teacher's forward pass stands where no layer of the model does.
  const int64_t working_set =
      std::max(capped_sum(product({numbers, bytes}), capped_sum(floats, copies)),
               teacher != nullptr ? forward_bytes(*teacher, num_tokens, bytes) : 0);
  plan.items.push_back({"layer working set", working_set});
  // Logits, which become their gradients in place, and the output head's own gradient in fp32,
  // made while the loss is.
  const int64_t rows = std::min(options.chunk_rows, num_tokens);
  const int64_t num_logits = teacher != nullptr ? 2 : 1;
  plan.items.push_back({"loss", capped_sum(product({num_logits, rows, config.vocab_size, bytes}),
                                           product({config.vocab_size, w.model, kFloatBytes}))});
  if (teacher != nullptr) {
    plan.items.push_back({"teacher", capped_sum(own_weights_bytes(options.objective, format),
                                                product({num_tokens, teacher->width, bytes}))});
  }
  if (options.on_cpu) plan.items.push_back({"program", program_bytes(config)});
  return plan;
}

MemoryPlan alignment_memory(const ModelConfig& config, int64_t num_tokens, NumberFormat format,
                            const TrainingOptions& options) {
  const int64_t bytes = bytes_per_number(format);
  const Widths w(config);
  MemoryPlan plan = states_memory(config, format, options);
  plan.items.push_back({"model as it began", parameter_bytes(config, format)});
  // The stream and what the full layer gave stand in both halves of a layer. Beside them, in the
  // attention: what the sparse one gave, and the full one's and the difference in fp32, first with
  // squares of these, then with the gradients.
  const int64_t stream = product({num_tokens, 2 * w.model, bytes});
  const int64_t floats = product({num_tokens, w.model, kFloatBytes});
  const int64_t gradients = product({num_tokens, w.model + w.q + w.qkv(), bytes});
  const int64_t copies = options.on_cpu ? cpu_attention_bytes(config, num_tokens) : 0;
  const int64_t sparse =
      capped_sum(product({num_tokens, attention_width(w) + w.model, bytes}),
                 capped_sum(2 * floats, std::max(floats, capped_sum(gradients, copies))));
  const int64_t ffn = capped_sum(product({num_tokens, w.model, bytes}),
                                 product({feed_forward_rows(num_tokens), 3 * w.ffn, bytes}));
  const int64_t tables = product({2, num_tokens, float_bytes_per_token(config)});
  plan.items.push_back(
      {"layer working set", capped_sum(stream, capped_sum(std::max(sparse, ffn), tables))});
  const int64_t teacher = own_weights_bytes(options.objective, format);
  if (teacher > 0) plan.items.push_back({"teacher", teacher});
  if (options.on_cpu) plan.items.push_back({"program", program_bytes(config)});
  return plan;
}

int64_t update_bytes(const ModelConfig& config, NumberFormat format,
                     const TrainingOptions& options) {
  // The update reads the gradient; reads and writes m, v and the masters; writes the compute copy.
  const int64_t per_parameter = bytes_per_number(options.gradients) +
                                4 * bytes_per_number(options.optimizer) +
                                2 * bytes_per_number(options.masters) +
                                (options.masters == format ? 0 : bytes_per_number(format));
  return product({parameter_counts(config).total(), per_parameter});
}

}  // namespace longgen
