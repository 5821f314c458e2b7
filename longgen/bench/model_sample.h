// bench/model_sample.h: one measurement of a model, in the process that calls it.
#pragma once

#include <cstdint>
#include <string>

#include "longgen/base/json.h"
#include "longgen/bench/model_subject.h"
#include "longgen/plan/memory.h"

namespace longgen {

struct SampleOptions {
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
  int64_t tokens = 2048, decode_tokens = 32;
  int64_t chunk = 512;  ///< tokens of the prompt that pass the layers at once
  int64_t batch = 1;    ///< sequences that are decoded together
  bool prefill = true;  ///< false: prompts are not computed, but are random K and V
  // The rest is about the training step.
  Recomputation recompute = Recomputation::layers;
  Offloading offload = Offloading::none;     ///< of a GPU only
  at::ScalarType states_dtype = at::kFloat;  ///< of masters, gradients and moments
};

/// Prefill of each sequence of the batch, then decoding of all of them together:
///   {"prefill": PART of one sequence, "decode": PART of one step, "kv_bytes": of all prompts,
///   RATES}
/// (without "prefill" where there is none) with PART
///   seconds, host_bytes    peak of the process so far
///   device_bytes           on a GPU: peak of what tensors and KV pages hold, of this part alone
///   device_reserved_bytes  with what the allocator keeps for the next ones
/// and RATES "gemm_flops_per_s" and "copy_bytes_per_s", measured afterwards. On a GPU the prompt
/// passes once before it is timed; on the CPU 64 tokens do.
OrderedJson sample_serving(const ModelSubject& subject, const ModelCut& cut,
                           const SampleOptions& options);

/// One optimizer step over one sequence, as `longgen extend` makes it, after one over few tokens
/// (over all of them where layer inputs are offloaded: the first step allocates the host's memory):
///   {"train": PART, RATES}
OrderedJson sample_training(const ModelSubject& subject, const ModelCut& cut,
                            const SampleOptions& options);

}  // namespace longgen
