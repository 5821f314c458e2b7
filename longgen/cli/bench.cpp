// longgen bench: measures speed and memory, of a model or of its parts.
#include "longgen/cli/bench.h"

#include "longgen/base/check.h"
#include "longgen/cli/options.h"

namespace longgen {

void add_patterns_option(CLI::App* app, std::vector<std::string>& patterns,
                         const std::string& defaults) {
  app->add_option("--patterns", patterns,
                  "patterns, separated by spaces: full, sink, blocksparse, wide or "
                  "sink=S,window=W,stride=N (default" +
                      defaults + ")")
      ->option_text("PATTERN...");
}

void add_repeats_option(CLI::App* app, int64_t& repeats) {
  add_count_option(
      app, "--repeats", repeats, 1,
      detail::concat("measurements of which the median counts (default ", repeats, ")"));
}

void add_gpu_option(CLI::App* app, std::string& device) {
  app->add_option("--device", device, "which GPU (default cuda, the first)")
      ->option_text("cuda|cuda:N");
}

at::Device open_gpu(const std::string& part, const std::string& name) {
  const std::optional<int> index = gpu_index(name);
  LG_CHECK(index, "--device: expected cuda or cuda:N, found \"", name, "\".");
  const std::string missing = missing_for_gpu(*index);
  LG_CHECK(missing.empty(), "[", part, "] needs a GPU: ", missing);
  return open_device(name);
}

void add_bench(CommandSet& commands) {
  CLI::App* const bench =
      commands.add(CommandGroup::performance, "bench", "measure speed and memory");
  add_bench_model(commands, bench);
  add_bench_attention(commands, bench);
  add_bench_decode(commands, bench);
  add_bench_ops(commands, bench);
  add_bench_serve(commands, bench);
}

}  // namespace longgen
