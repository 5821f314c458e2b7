// dist/launch.h: starts the ranks of a run on this machine, and watches them.
#pragma once

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/dist/sockets/socket.h"
#include "longgen/dist/store.h"

namespace longgen {

struct LaunchOptions {
  int num_ranks = 2;
  std::vector<std::string> command_line;  ///< of this program, the same for every rank
  Endpoint store;                         ///< as serve_store() serves it
  std::string run;
  /// The files that get what ranks from 1 on write to stdout and stderr, behind what they hold.
  std::function<fs::path(int rank)> log_of = {};
  /// When a rank has failed, the others have so long to end by themselves.
  std::chrono::milliseconds grace{5000};
  /// A signal that this process got, to be handed on; 0: none.
  std::function<int()> signal = [] { return 0; };
};

enum class RanksEnd {
  finished,
  stopped,  ///< as a signal asked one or all of them to
};

/// Starts this program once a rank, with the environment that find_rank_place() reads, and waits
/// for all. The ranks end when this process does, however it ends. SIGINT is ignored in them,
/// because Ctrl-C at a terminal reaches them, too: a signal is handed on as SIGTERM. Throws
/// Error where one failed, which says what went wrong first: which rank, how it ended, and the last
/// line of its log.
RanksEnd run_ranks(Store& store, const LaunchOptions& options);

/// The environment of a rank that run_ranks() starts: NAME=value.
std::vector<std::string> rank_environment(const LaunchOptions& options, int rank);

}  // namespace longgen
