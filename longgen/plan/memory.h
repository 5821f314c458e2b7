// plan/memory.h: what serving and training keep in memory, item by item, in closed form.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/model/config.h"
#include "longgen/plan/activations.h"
#include "longgen/plan/number_format.h"
#include "longgen/plan/work.h"

namespace longgen {

struct MemoryItem {
  std::string name;
  int64_t bytes = 0;
  bool operator==(const MemoryItem&) const = default;
};

struct MemoryPlan {
  std::vector<MemoryItem> items;  ///< on the device
  int64_t host_bytes = 0;         ///< pinned memory beside it

  int64_t total_bytes() const;
  /// Returns the bytes of the item with this name. Throws Error where there is none.
  int64_t bytes(const std::string& name) const;
  bool has(const std::string& name) const;
  bool operator==(const MemoryPlan&) const = default;
};

/// kFeedForwardRows of ops/feed_forward.h, where torch is needed; a test holds them equal.
inline constexpr int64_t kPlannedFeedForwardRows = 16384;

/// Absurd sizes stop here instead of overflowing: no item is larger, and no device fits one.
inline constexpr int64_t kMaxItemBytes = int64_t{1} << 58;

/// The bytes of one sequence's pages, as KvLayout counts them.
struct KvBytes {
  int64_t held = 0;          ///< between two steps, with num_tokens in the cache
  int64_t decode_peak = 0;   ///< the most of any step that appends one token, up to num_tokens
  int64_t prefill_peak = 0;  ///< the most while num_tokens are prefilled chunk by chunk
};
KvBytes kv_bytes(const ModelConfig& config, const LayerPlan& layers, int64_t num_tokens,
                 NumberFormat format, int64_t prefill_chunk);

struct ServingLoad {
  int64_t num_tokens = 0;
  int64_t num_sequences = 1;
  int64_t prefill_chunk = 512;  ///< tokens that pass through the layers at once
  bool on_cpu = false;          ///< counts the program too
};

/// What the program takes on the CPU beside the model, measured on Linux with libtorch 2.11.0: 117
/// MiB of libraries and what they register when it starts, 15 MiB of buffers for matrix products
/// and attention, and the tokenizer.
inline constexpr int64_t kProgramBytes = int64_t{132} << 20;
inline constexpr int64_t kTokenizerBytesPerToken = 360;  ///< of the vocabulary

/// Counts num_sequences sequences of num_tokens each, of which one is being prefilled. Items:
/// "weights", "KV cache", "prefill workspace" (activations of one layer for one chunk), "logits",
/// and on the CPU "program".
MemoryPlan serving_memory(const ModelConfig& config, const LayerPlan& layers, NumberFormat format,
                          const ServingLoad& load);

struct TrainingOptions {
  Recomputation recompute = Recomputation::layers;
  Offloading offload = Offloading::none;
  NumberFormat masters = NumberFormat::float32;  ///< equal to the compute format: no second copy
  NumberFormat gradients = NumberFormat::float32;
  NumberFormat optimizer = NumberFormat::float32;  ///< Adam's m and v
  int64_t chunk_rows = 512;  ///< tokens whose logits exist at once, see linear_cross_entropy()
  bool on_cpu = false;       ///< counts the program too, and what the CPU's attention copies
  ObjectiveLoad objective = {};
  bool aligns = false;  ///< a first stage goes before (train.align_steps), see alignment_memory()
  /// Sets masters, gradients and optimizer at once, as train.states of a recipe does.
  void set_states(NumberFormat format) { masters = gradients = optimizer = format; }
  bool operator==(const TrainingOptions&) const = default;
};

/// Counts one step over one sequence of num_tokens. Items: "weights", "masters", "gradients", "Adam
/// m", "Adam v", what the recompute mode keeps ("layer inputs", "attention outputs",
/// "activations"), "layer working set" (one layer computed again, and its gradients), "loss" (one
/// chunk of logits, also of a teacher, and the gradient of the output head), with a teacher
/// "teacher" (its weights, where they are its own, and its hidden state), and on the CPU "program".
/// The layer plan makes no difference: sparse and full layers keep the same tensors.
MemoryPlan training_memory(const ModelConfig& config, int64_t num_tokens, NumberFormat format,
                           const TrainingOptions& options);

/// Counts one step of the first stage over one sequence of num_tokens. Items: the states as above,
/// "model as it began" (weights in the compute format), "layer working set" (one layer of that
/// model, its attention as a sparse one, their difference in fp32 and its gradients), with a
/// teacher that has weights of its own "teacher", and on the CPU "program".
MemoryPlan alignment_memory(const ModelConfig& config, int64_t num_tokens, NumberFormat format,
                            const TrainingOptions& options);

/// Counts the bytes that the optimizer reads and writes in one update.
int64_t update_bytes(const ModelConfig& config, NumberFormat format,
                     const TrainingOptions& options);

}  // namespace longgen
