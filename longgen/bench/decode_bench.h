// bench/decode_bench.h: `longgen bench decode`: attention of one token to the paged KV cache on a
// GPU, one layer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/bench/timing.h"
#include "longgen/kv_cache/paged_layer.h"

namespace longgen {

/// The work of a decoding step: one new token in each of num_sequences sequences of num_tokens.
struct DecodeLoad {
  LayerShape layer;
  int64_t num_sequences, num_tokens;
};

struct DecodeResult {
  DecodeLoad load;
  Timing timing;
  int64_t kv_bytes = 0;  ///< of live keys and values: what one call reads
  double error = 0;      ///< of the output, over its largest value, against plain torch in fp64

  double bytes_per_s() const { return static_cast<double>(kv_bytes) / timing.median_ms * 1e3; }
  bool is_right() const { return error < kTolerance; }
  /// Rounding the output errs by half a spacing of bf16, and rounding the weights by as much again.
  static constexpr double kTolerance = 0x1p-7;
};

/// Checks up to 64 pairs of a sequence and a KV head, then measures. On a GPU.
DecodeResult bench_decode(const DecodeLoad& load, at::Device device, int64_t repeats);

/// A table. `copy_rate`: bytes read and written a second.
std::string to_text(const std::vector<DecodeResult>& results, double copy_rate);
OrderedJson to_json(const std::vector<DecodeResult>& results, double copy_rate);

}  // namespace longgen
