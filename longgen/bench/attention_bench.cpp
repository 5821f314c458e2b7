#include "longgen/bench/attention_bench.h"

#include <map>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/units.h"
#include "longgen/bench/attention_check.h"
#include "longgen/bench/full_attention.h"
#include "longgen/plan/table.h"

namespace longgen {
namespace {

/// The passes on one shape, checked before they are timed.
class Bench {
 public:
  Bench(const AttentionShape& shape, int64_t repeats)
      : inputs_(shape), full_(inputs_), timer_(shape.device, repeats) {}

  Timing time_full(AttentionPass pass) {
    return pass == AttentionPass::forward ? timer_.time([&] { full_.forward(); })
                                          : timer_.time([&] { full_.backward(); });
  }

  AttentionResult run(const Pattern& pattern, AttentionPass pass) {
    const Attended attended = attend_forward(inputs_, pattern);
    AttentionResult result;
    result.shape = inputs_.shape, result.pattern = pattern, result.pass = pass;
    result.full_name = full_.name();
    result.flops = attention_flops(inputs_.shape, pattern);
    const at::ScalarType dtype = inputs_.shape.dtype;
    if (pass == AttentionPass::forward) {
      result.error = output_error(inputs_, pattern, attended);
      result.tolerance = output_tolerance(dtype);
      result.timing = timer_.time([&] { attend_forward(inputs_, pattern); });
      return result;
    }
    result.flops *= kBackwardFlops;
    result.error =
        gradient_error(inputs_, pattern, attended, attend_backward(inputs_, pattern, attended));
    result.tolerance = gradient_tolerance(dtype);
    result.timing = timer_.time([&] { attend_backward(inputs_, pattern, attended); });
    return result;
  }

 private:
  AttentionInputs inputs_;
  FullAttention full_;
  Timer timer_;
};

std::string heads_text(const AttentionShape& shape) {
  return detail::concat(shape.num_heads, "/", shape.num_kv_heads);
}

std::string describe(const AttentionShape& shape, const Pattern& pattern, AttentionPass pass) {
  return detail::concat(pattern.to_string(), ", ", format_count(shape.num_tokens),
                        " tokens, heads ", heads_text(shape), " of ", shape.head_size, ", ",
                        attention_pass_name(pass));
}

}  // namespace

const char* attention_pass_name(AttentionPass pass) {
  return pass == AttentionPass::forward ? "forward" : "backward";
}

AttentionPass parse_attention_pass(const std::string& name) {
  if (name == "forward") return AttentionPass::forward;
  if (name == "backward") return AttentionPass::backward;
  LG_FAIL("[bench] expected forward or backward, found \"", name, "\".");
}

std::vector<AttentionResult> bench_attention(const AttentionShape& shape,
                                             const std::vector<Pattern>& patterns,
                                             const std::vector<AttentionPass>& passes,
                                             int64_t repeats) {
  Bench bench(shape, repeats);
  std::map<AttentionPass, Timing> full;
  for (const AttentionPass pass : passes) full[pass] = bench.time_full(pass);
  std::vector<AttentionResult> results;
  for (const Pattern& pattern : patterns) {
    for (const AttentionPass pass : passes) {
      log_info(describe(shape, pattern, pass));
      results.push_back(bench.run(pattern, pass));
      results.back().full_timing = full[pass];
    }
  }
  return results;
}

std::string to_text(const std::vector<AttentionResult>& results, double gemm_rate) {
  std::vector<std::vector<std::string>> rows = {{"pattern", "tokens", "heads", "head size", "pass",
                                                 "ms", "TFLOP/s", "of GEMM", "every key", "ms",
                                                 "ratio", "error"}};
  for (const AttentionResult& result : results) {
    const AttentionShape& shape = result.shape;
    const double rate = result.flops_per_s(), ms = result.timing.median_ms,
                 full = result.full_timing.median_ms;
    rows.push_back({result.pattern.to_string(), format_count(shape.num_tokens), heads_text(shape),
                    std::to_string(shape.head_size), attention_pass_name(result.pass),
                    format_number(ms, "%.3f"),
                    format_number(rate * 1e-12, rate < 1e13 ? "%.3f" : "%.0f"),
                    format_number(100 * rate / gemm_rate, "%.1f%%"), result.full_name,
                    format_number(full, "%.3f"), format_number(full / ms, "%.2f"),
                    format_number(result.error, "%.1e") + (result.is_right() ? "" : " WRONG")});
  }
  return format_table(rows);
}

OrderedJson to_json(const std::vector<AttentionResult>& results, double gemm_rate) {
  OrderedJson rows = OrderedJson::array();
  for (const AttentionResult& result : results) {
    const AttentionShape& shape = result.shape;
    const auto range = [](const Timing& timing) {
      return OrderedJson{timing.fastest_ms, timing.slowest_ms};
    };
    rows.push_back({{"pattern", result.pattern.to_string()},
                    {"tokens", shape.num_tokens},
                    {"heads", shape.num_heads},
                    {"kv_heads", shape.num_kv_heads},
                    {"head_size", shape.head_size},
                    {"pass", attention_pass_name(result.pass)},
                    {"ms", result.timing.median_ms},
                    {"ms_range", range(result.timing)},
                    {"flops", result.flops},
                    {"flops_per_s", result.flops_per_s()},
                    {"gemm_share", result.flops_per_s() / gemm_rate},
                    {"full_by", result.full_name},
                    {"full_ms", result.full_timing.median_ms},
                    {"full_ms_range", range(result.full_timing)},
                    {"error", result.error},
                    {"tolerance", result.tolerance}});
  }
  return rows;
}

}  // namespace longgen
