// bench/attention_bench.h: `longgen bench attention`: time of the attend op beside full attention.
#pragma once

#include <string>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/bench/attention_case.h"
#include "longgen/bench/timing.h"

namespace longgen {

enum class AttentionPass { forward, backward };
/// "forward" or "backward".
const char* attention_pass_name(AttentionPass pass);
/// Reads what attention_pass_name() gives. Throws Error naming both.
AttentionPass parse_attention_pass(const std::string& name);

/// One pass with one pattern: how fast, how right, and what FullAttention takes for the same.
struct AttentionResult {
  AttentionShape shape;
  Pattern pattern;
  AttentionPass pass = AttentionPass::forward;
  Timing timing, full_timing;
  std::string full_name;  ///< who computes FullAttention
  double flops = 0;       ///< useful ones
  double error = 0, tolerance = 0;

  double flops_per_s() const { return flops / timing.median_ms * 1e3; }
  bool is_right() const { return error <= tolerance; }
};

/// Measures all passes with all patterns on one shape. Throws Error where the op does not
/// take the shape.
std::vector<AttentionResult> bench_attention(const AttentionShape& shape,
                                             const std::vector<Pattern>& patterns,
                                             const std::vector<AttentionPass>& passes,
                                             int64_t repeats);

/// Writes the results as a table; `gemm_rate` is in FLOP/s.
std::string to_text(const std::vector<AttentionResult>& results, double gemm_rate);
OrderedJson to_json(const std::vector<AttentionResult>& results, double gemm_rate);

}  // namespace longgen
