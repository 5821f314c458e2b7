// longgen bench decode: measures one layer's attention of one token to the paged KV cache on a GPU.
#include <memory>

#include "longgen/api/load.h"
#include "longgen/bench/decode_bench.h"
#include "longgen/bench/machine.h"
#include "longgen/cli/bench.h"
#include "longgen/cli/output.h"
#include "longgen/plan/table.h"

namespace longgen {
namespace {

struct DecodeCommand {
  std::vector<std::string> patterns = {"full", "sink"};
  std::vector<HeadCounts> heads = {{32, 32}, {32, 8}};
  std::vector<int64_t> head_sizes = {128};
  std::vector<SequenceCounts> sequences = {{1, 131072}, {8, 32768}, {64, 4096}};
  std::string device = "cuda";
  int64_t repeats = 20;
  bool json = false;
};

std::vector<DecodeLoad> loads_of(const DecodeCommand& command) {
  std::vector<DecodeLoad> loads;
  for (const std::string& pattern : command.patterns) {
    for (const int64_t head_size : command.head_sizes) {
      for (const HeadCounts& heads : command.heads) {
        for (const SequenceCounts& counts : command.sequences) {
          loads.push_back({{heads.num_heads, heads.num_kv_heads, head_size, pattern},
                           counts.num_sequences,
                           counts.num_tokens});
        }
      }
    }
  }
  return loads;
}

int bench(const DecodeCommand& command) {
  for (const std::string& pattern : command.patterns) Pattern::parse(pattern);
  for (const int64_t head_size : command.head_sizes) {
    LG_CHECK(head_size == 64 || head_size == 128,
             "--head-sizes: on a GPU the head size must be 64 or 128, found ", head_size, ".");
  }
  LG_CHECK(
      command.device != "cpu",
      "[bench decode] times the GPU's kernels: there is no CPU part. On the CPU, `longgen bench "
      "model` times decoding of a whole model.");
  const at::Device device = open_gpu("bench decode", command.device);
  const std::string name = device_title(device);
  const double copy = copy_rate(device), shortest_ms = shortest_call_ms(device);
  std::vector<DecodeResult> results;
  for (const DecodeLoad& load : loads_of(command)) {
    results.push_back(bench_decode(load, device, command.repeats));
  }
  Output output;
  if (command.json) {
    output.write(dump_json(OrderedJson{{"device", name},
                                       {"dtype", "bfloat16"},
                                       {"repeats", command.repeats},
                                       {"copy_bytes_per_s", copy},
                                       {"shortest_call_ms", shortest_ms},
                                       {"results", to_json(results, copy)}}) +
                 "\n");
  } else {
    output.write(detail::concat(
        name, ", bfloat16, one layer, median of ", command.repeats, "; copy in this run ",
        format_number(copy * 1e-9, "%.0f"), " GB/s read and written, a call that sets one number ",
        format_number(shortest_ms, "%.4f"), " ms\n", to_text(results, copy)));
  }
  output.flush();
  for (const DecodeResult& result : results) {
    LG_CHECK(result.is_right(), "[bench decode] ", result.load.layer.pattern, ", ",
             result.load.num_sequences, " x ", result.load.num_tokens,
             " tokens: the output differs from plain torch in fp64 by ", result.error,
             " of its largest value. Its time says nothing.");
  }
  return 0;
}

}  // namespace

void add_bench_decode(CommandSet& commands, CLI::App* bench_app) {
  auto command = std::make_shared<DecodeCommand>();
  CLI::App* const app = commands.add_part(
      bench_app, "decode", "time of one token's attention to the KV cache on a GPU, one layer");
  add_patterns_option(app, command->patterns, " full sink");
  add_sequences_option(app, command->sequences,
                       "sequences x tokens of each (default 1x128K,8x32K,64x4K)");
  add_heads_option(app, command->heads, "query heads/KV heads (default 32/32,32/8)");
  add_counts_option(app, "--head-sizes", command->head_sizes, "64, 128 (default 128)");
  add_repeats_option(app, command->repeats);
  add_gpu_option(app, command->device);
  add_json_flag(app, command->json);
  commands.on_run(app, [command] { return bench(*command); });
}

}  // namespace longgen
