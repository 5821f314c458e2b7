// longgen bench attention: measures the attend op alone, by pattern,
// length and heads, beside full attention.
#include <memory>

#include "longgen/api/load.h"
#include "longgen/bench/attention_bench.h"
#include "longgen/bench/machine.h"
#include "longgen/cli/bench.h"
#include "longgen/cli/output.h"
#include "longgen/plan/table.h"

namespace longgen {
namespace {

struct AttentionCommand {
  ModelOptions model_options;
  std::vector<std::string> patterns = {"sink=1,window=16", "sink=1,window=32",
                                       "window=16,stride=16", "window=16,stride=32", "full"};
  std::vector<std::string> passes = {"forward", "backward"};
  std::vector<int64_t> tokens;  // empty: by device
  std::vector<HeadCounts> heads = {{32, 32}, {32, 8}};
  std::vector<int64_t> head_sizes = {128, 64};
  int64_t repeats = 5;
  bool json = false;
};

std::vector<AttentionShape> shapes_of(const AttentionCommand& command, at::ScalarType dtype,
                                      at::Device device) {
  const std::vector<int64_t> by_device = {device.is_cuda() ? 131072 : 2048};
  std::vector<AttentionShape> shapes;
  for (const int64_t tokens : command.tokens.empty() ? by_device : command.tokens) {
    for (const int64_t head_size : command.head_sizes) {
      for (const HeadCounts& heads : command.heads) {
        shapes.push_back({tokens, heads.num_heads, heads.num_kv_heads, head_size, dtype, device});
      }
    }
  }
  return shapes;
}

std::string to_text(const std::vector<AttentionResult>& results, double gemm,
                    const AttentionCommand& command, const std::string& device) {
  return detail::concat(device, ", ", command.model_options.compute_dtype(), ", median of ",
                        command.repeats, "; GEMM in this run ", format_number(gemm * 1e-12, "%.3g"),
                        " TFLOP/s; FLOPs of visible token pairs\n", to_text(results, gemm));
}

void check_results(const std::vector<AttentionResult>& results) {
  for (const AttentionResult& result : results) {
    LG_CHECK(result.is_right(), "[bench attention] ", result.pattern.to_string(), ", ",
             result.shape.num_tokens, " tokens, ", attention_pass_name(result.pass),
             ": differs from plain sums in fp64 by ", result.error,
             " of a row's size, expected at "
             "most ",
             result.tolerance, ". Its time says nothing.");
  }
}

int bench(const AttentionCommand& command) {
  std::vector<Pattern> patterns;
  for (const std::string& text : command.patterns) patterns.push_back(Pattern::parse(text));
  std::vector<AttentionPass> passes;
  for (const std::string& name : command.passes) passes.push_back(parse_attention_pass(name));
  const auto [device, dtype] = open_computation(command.model_options);
  const double gemm = gemm_rate(device, dtype);
  std::vector<AttentionResult> results;
  for (const AttentionShape& shape : shapes_of(command, dtype, device)) {
    const auto some = bench_attention(shape, patterns, passes, command.repeats);
    results.insert(results.end(), some.begin(), some.end());
  }
  const std::string name = device_title(device);
  Output output;
  output.write(command.json
                   ? dump_json(OrderedJson{{"device", name},
                                           {"dtype", command.model_options.compute_dtype()},
                                           {"repeats", command.repeats},
                                           {"gemm_flops_per_s", gemm},
                                           {"results", to_json(results, gemm)}}) +
                         "\n"
                   : to_text(results, gemm, command, name));
  output.flush();
  check_results(results);
  return 0;
}

}  // namespace

void add_bench_attention(CommandSet& commands, CLI::App* bench_app) {
  auto command = std::make_shared<AttentionCommand>();
  CLI::App* const app = commands.add_part(
      bench_app, "attention", "time of the attention op by pattern, beside full attention");
  add_patterns_option(app, command->patterns, ": the four of docs/bench and full");
  add_counts_option(app, "--tokens", command->tokens,
                    "lengths of the sequence (default 2048 on the CPU, 128K on a GPU)");
  add_heads_option(app, command->heads, "query heads/KV heads (default 32/32,32/8)");
  add_counts_option(app, "--head-sizes", command->head_sizes, "head sizes (default 128,64)");
  add_choices_option(app, "--passes", command->passes, {"forward", "backward"},
                     "which to time: forward, backward (default both)");
  add_repeats_option(app, command->repeats);
  add_model_options(app, command->model_options);
  add_json_flag(app, command->json);
  commands.on_run(app, [command] { return bench(*command); });
}

}  // namespace longgen
