#include "longgen/cli/ranks.h"

#include <cstdlib>

#include "longgen/attention/cpu/tile_kernels.h"
#include "longgen/base/log.h"
#include "longgen/base/process.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/output.h"
#include "longgen/cli/shell_quote.h"
#include "longgen/device/gpu_plugin.h"
#include "longgen/dist/launch.h"
#include "longgen/dist/sockets/handshake.h"
#include "longgen/dist/tcp_store.h"

namespace longgen {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kOwnLauncher = "--ranks";
constexpr seconds kShortestJoin{300};  // the first start reads the program from a slow disk

seconds join_time(const RankArguments& arguments) {
  return std::max(kShortestJoin, seconds(arguments.timeout_seconds));
}

/// Ends the process, whatever its other threads are at.
void abandon(const std::string& message) {
  print_error(message);
  std::_Exit(1);
}

}  // namespace

void add_rank_options(CLI::App* command, RankArguments& arguments) {
  command
      ->add_option("--ranks", arguments.num_ranks,
                   "start so many processes on this machine, which divide the micro-batches of a "
                   "step among them (docs/ranks.md)")
      ->option_text("N")
      ->check(CLI::Range(1, kMaxRanks));
  command
      ->add_option("--rank-timeout", arguments.timeout_seconds,
                   "a rank that gives no sign of life for so long ends the run (default 60)")
      ->option_text("SECONDS")
      ->check(CLI::Range(2, 86400));
  command
      ->add_option("--rank-interface", arguments.interface,
                   "network interface by which ranks on other machines reach this one, such as "
                   "eth0 (default: the one that leads to rank 0)")
      ->option_text("NAME");
}

std::string option_text(const RankArguments& arguments) {
  std::string text;
  if (arguments.num_ranks > 0) text += " --ranks " + std::to_string(arguments.num_ranks);
  if (arguments.timeout_seconds != RankArguments::kTimeoutSeconds) {
    text += " --rank-timeout " + std::to_string(arguments.timeout_seconds);
  }
  if (!arguments.interface.empty()) {
    text += " --rank-interface " + shell_quote(arguments.interface);
  }
  return text;
}

std::optional<RankPlace> place_among_ranks(const RankArguments& arguments) {
  std::optional<RankPlace> place =
      find_rank_place([](const char* variable) { return std::getenv(variable); });
  if (arguments.num_ranks > 0 && place && place->launcher != kOwnLauncher) {
    throw UsageError("--ranks starts the ranks itself, but this process is rank " +
                     std::to_string(place->rank) + " of " + std::to_string(place->num_ranks) +
                     " that " + place->launcher + " started: give one of them.");
  }
  return place;
}

int run_as_ranks(const RankArguments& arguments, const std::function<fs::path(int rank)>& log_of) {
  const auto num_ranks = static_cast<int>(arguments.num_ranks);
  mute_store_log();
  Socket listener = listen_at({"127.0.0.1", 0});
  LaunchOptions options = {.num_ranks = num_ranks,
                           .command_line = this_command_line(),
                           .store = {"127.0.0.1", port_of(listener)},
                           .run = make_run_key(),
                           .log_of = log_of,
                           .signal = interrupt_signal};
  options.grace = std::min<milliseconds>(options.grace, seconds(arguments.timeout_seconds) / 10);
  const auto store =
      serve_store(std::move(listener), options.store.host, options.run + "/0", num_ranks);
  catch_interrupts();
  return run_ranks(*store, options) == RanksEnd::finished ? 0 : exit_code_of_interrupt();
}

std::unique_ptr<RankGroup> join_ranks(const RankPlace& place, const RankArguments& arguments) {
  // Those of --ranks have a log of their own.
  if (place.rank > 0 && place.launcher != kOwnLauncher) set_quiet(true);
  mute_store_log();
  RankGroupOptions options;
  options.watch.silence = seconds(arguments.timeout_seconds);
  options.watch.on_abandon = abandon;
  options.join_time = join_time(arguments);
  options.interface = arguments.interface;
  auto group = std::make_unique<RankGroup>(place, open_store(place, join_time(arguments)), options);
  log_info(detail::concat("rank ", place.rank, " of ", place.num_ranks, ", started by ",
                          place.launcher));
  return group;
}

std::vector<Fact> facts_of_program(const at::Device& device) {
  const MappedFile program(this_program());
  return {{"version", LONGGEN_VERSION},
          {"program", hash_hex(program.bytes())},
          {"device", device.is_cuda() ? gpu_backend().properties(device).name : "cpu"},
          {"processor's kernels", cpu::tile_kernels().instruction_set}};
}

std::string device_of_rank(const std::string& device, const RankPlace& place) {
  if (device == "cuda") return "cuda:" + std::to_string(place.local_rank);
  LG_CHECK(!device.starts_with("cuda") || place.num_local_ranks == 1, "--device ", device, ": ",
           place.num_local_ranks,
           " ranks of this machine would share one GPU. Give --device cuda, which is another one "
           "for each rank.");
  return device;
}

}  // namespace longgen
