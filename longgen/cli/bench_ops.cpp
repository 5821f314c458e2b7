// longgen bench ops: measures the fused ops on a GPU, beside a copy.
#include <memory>

#include "longgen/api/load.h"
#include "longgen/bench/machine.h"
#include "longgen/bench/ops_bench.h"
#include "longgen/cli/bench.h"
#include "longgen/cli/output.h"
#include "longgen/plan/presets.h"
#include "longgen/plan/table.h"

namespace longgen {
namespace {

struct OpsCommand {
  std::vector<std::string> models = {"smollm2-135m", "llama3-8b"};
  std::string device = "cuda";
  int64_t tokens = 32768, repeats = 20;
  bool json = false;
};

int bench(const OpsCommand& command) {
  for (const std::string& model : command.models) preset(model);  // wrong names, before anything
  const at::Device device = open_gpu("bench ops", command.device);
  const double copy = copy_rate(device);
  std::vector<OpResult> results;
  for (const std::string& model : command.models) {
    const auto some = bench_ops(model, preset(model), device, command.tokens, command.repeats);
    results.insert(results.end(), some.begin(), some.end());
  }
  const std::string name = device_title(device);
  Output output;
  if (command.json) {
    output.write(dump_json(OrderedJson{{"device", name},
                                       {"dtype", "bfloat16"},
                                       {"tokens", command.tokens},
                                       {"repeats", command.repeats},
                                       {"copy_bytes_per_s", copy},
                                       {"results", to_json(results, copy)}}) +
                 "\n");
  } else {
    output.write(detail::concat(name, ", bfloat16, ", command.tokens, " tokens, median of ",
                                command.repeats, "; copy in this run ",
                                format_number(copy * 1e-9, "%.0f"), " GB/s read and written\n",
                                to_text(results, copy)));
  }
  output.flush();
  return 0;
}

}  // namespace

void add_bench_ops(CommandSet& commands, CLI::App* bench_app) {
  auto command = std::make_shared<OpsCommand>();
  CLI::App* const app = commands.add_part(
      bench_app, "ops", "time of norms, RoPE, products of a token, loss and optimizer on a GPU");
  add_list_option(app, "--models", command->models,
                  "presets whose shapes to take (default smollm2-135m,llama3-8b)");
  add_count_option(app, "--tokens", command->tokens, 1, "rows of activations (default 32768)");
  add_repeats_option(app, command->repeats);
  add_gpu_option(app, command->device);
  add_json_flag(app, command->json);
  commands.on_run(app, [command] { return bench(*command); });
}

}  // namespace longgen
