// cli/ranks.h: commands that several processes run together.
#pragma once

#include <c10/core/Device.h>

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/dist/agreement.h"
#include "longgen/dist/rank_group.h"

namespace longgen {

struct RankArguments {
  int64_t num_ranks = 0;  ///< 0: not given
  static constexpr int64_t kTimeoutSeconds = 60;
  int64_t timeout_seconds = kTimeoutSeconds;
  std::string interface;
};
/// Adds --ranks, --rank-timeout and --rank-interface.
void add_rank_options(CLI::App* command, RankArguments& arguments);

/// These options as they were given: " --ranks 2".
std::string option_text(const RankArguments& arguments);

/// Which rank this process is, as its environment says; nullopt where no launcher started it.
/// Throws UsageError where --ranks is given to a process that one did start.
std::optional<RankPlace> place_among_ranks(const RankArguments& arguments);

/// Starts this command line anew as --ranks processes, and waits for them. `log_of` names the files
/// for what ranks from 1 on say. Returns the exit code where all ended well or as a signal asked
/// them to. Throws Error naming the rank that failed first.
int run_as_ranks(const RankArguments& arguments, const std::function<fs::path(int rank)>& log_of);

/// Joins the other ranks. From then on the process ends with exit code 1 and a message when a rank
/// is lost. Ranks from 1 on are quiet where their words would stand among those of rank 0.
std::unique_ptr<RankGroup> join_ranks(const RankPlace& place, const RankArguments& arguments);

/// Version, program, and the kind of device that computes.
std::vector<Fact> facts_of_program(const at::Device& device);

/// The device of a rank: "cuda" is the GPU with the rank's number on its machine. Throws Error
/// where all ranks of a machine would take one GPU.
std::string device_of_rank(const std::string& device, const RankPlace& place);

}  // namespace longgen
