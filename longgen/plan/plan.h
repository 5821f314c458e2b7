// plan/plan.h: `longgen plan`: what a model costs at a context length on a device, with every layer
// full and as a hybrid, before anything is loaded. Formulas: docs/plan.md.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "longgen/base/json.h"
#include "longgen/model/config.h"
#include "longgen/model/config_limits.h"
#include "longgen/plan/devices.h"
#include "longgen/plan/memory.h"
#include "longgen/plan/work.h"

namespace longgen {

/// The shares of the device's peaks, by which times are estimated, and of its memory that is
/// planned for. They are printed with every plan. The defaults were measured on one H200: matrix
/// products 690 to 775 of 989 TFLOP/s, cuDNN's causal attention 582 forward and 537 backward,
/// copies 4.2 of 4.8 TB/s; on one H100 our block-sparse attention (sink 1, window 16) 514 and 385.
struct Efficiency {
  double linear = 0.70;
  double full_forward = 0.59, full_backward = 0.54;
  double sparse_forward = 0.52, sparse_backward = 0.39;
  double bandwidth = 0.85;
  /// The rest is for the driver, libraries and fragmentation.
  double usable_memory = 0.95;
  bool operator==(const Efficiency&) const = default;
};

struct PlanRequest {
  std::string model;    ///< what to call it: a preset or a directory
  ModelConfig config;   ///< its own layer plan and context are not read
  LayerPlan layers;     ///< of the hybrid; all full: no hybrid is planned
  int64_t context = 0;  ///< tokens of a sequence, from 1 to kMaxPlanContext
  DeviceSpec device;
  NumberFormat format = NumberFormat::bfloat16;
  int64_t num_sequences = 1;     ///< served at once; a training step has one sequence
  int64_t prefill_chunk = 512;   ///< as `longgen generate --chunk`
  int64_t host_cache_bytes = 0;  ///< as `longgen serve --host-cache`
  /// Its on_cpu is not read: the device says it. A teacher that is the model itself teaches the
  /// hybrid alone.
  TrainingOptions training;
  Efficiency efficiency;
};

inline constexpr int64_t kMaxPlanContext = config_limits::kMaxContext;

/// Whether it fits, and how far one could go. Contexts are multiples of Pattern::kBlock, at most
/// kMaxPlanContext; 0: not even one block fits.
struct Fit {
  bool fits = false;
  int64_t longest_context = 0;
};

/// A step of the first stage over one sequence.
struct AlignmentPlan {
  MemoryPlan memory;
  TrainingFlops work;
  double seconds = 0;  ///< an estimate, the optimizer's update included
};

/// The plan of one model under one layer plan.
struct ArchitecturePlan {
  LayerPlan layers;
  KvBytes kv;  ///< of one sequence

  Flops prefill;           ///< of one sequence, logits of its last token
  TrainingFlops training;  ///< of one step over one sequence
  Flops decode;            ///< of one token of one sequence, the last one
  DecodeBytes decode_read;

  MemoryPlan serving_memory, training_memory;
  /// Where the request has a first stage and this plan sparse layers.
  std::optional<AlignmentPlan> alignment;
  /// serving.longest_context: for num_sequences; training_fit: of both stages.
  Fit serving, training_fit;
  int64_t max_sequences = 0;  ///< of the planned context that can be served at once
  int64_t host_prefixes = 0;  ///< of that context that the host keeps beside them

  // The times are estimates under Efficiency, in seconds.
  double prefill_seconds = 0;   ///< one sequence
  double training_seconds = 0;  ///< one step, optimizer included
  double decode_seconds = 0;    ///< one token of each of num_sequences sequences
};

struct Plan {
  PlanRequest request;
  ParameterCounts parameters;
  int64_t usable_bytes = 0;  ///< of the device's memory
  ArchitecturePlan full;
  std::optional<ArchitecturePlan> hybrid;

  /// Returns the hybrid's share of the full model's KV bytes; 1 without a hybrid.
  double kept_share() const;
};

/// Makes a plan. Throws Error on a context, number of sequences, chunk or share out of range, a
/// layer plan that is not of this model, a first stage without sparse layers, and sizes beyond all
/// counting.
Plan make_plan(const PlanRequest& request);

/// Writes a table for people, ending in a newline: items, full, hybrid and their ratio, with units.
std::string to_text(const Plan& plan);
/// Gives the same in bytes, FLOPs and seconds, and the assumptions.
OrderedJson to_json(const Plan& plan);

}  // namespace longgen
