// bench/ops_bench.h: `longgen bench ops`: the fused ops on a GPU, beside a copy.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/bench/timing.h"
#include "longgen/model/config.h"

namespace longgen {

struct OpResult {
  std::string model, op;
  Timing timing;
  int64_t bytes = 0;  ///< that the op has to read and write once

  double bytes_per_s() const { return static_cast<double>(bytes) / timing.median_ms * 1e3; }
};

/// The ops of one layer, the loss, the embedding's gradient and the optimizer, in a model's shape,
/// bf16, on a GPU. tests/gpu/ops_gpu_test.cpp checks the same ops.
std::vector<OpResult> bench_ops(const std::string& model, const ModelConfig& config,
                                at::Device device, int64_t num_tokens, int64_t repeats);

/// Writes the results as a table; `copy_rate` is in bytes read and written a second.
std::string to_text(const std::vector<OpResult>& results, double copy_rate);
OrderedJson to_json(const std::vector<OpResult>& results, double copy_rate);

}  // namespace longgen
