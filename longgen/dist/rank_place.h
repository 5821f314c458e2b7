// dist/rank_place.h: which of how many ranks a process is, and where the others find it.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "longgen/dist/sockets/socket.h"

namespace longgen {

/// The most ranks of a run: each has a connection with every other one.
inline constexpr int kMaxRanks = 256;

struct RankPlace {
  std::string launcher;                     ///< "torchrun", "srun", "mpirun", "--ranks"
  int rank = 0, num_ranks = 1;              ///< in the whole run
  int local_rank = 0, num_local_ranks = 1;  ///< on this machine; all, where nobody says how many
  bool is_one_host = false;                 ///< all ranks are known to be on this machine
  Endpoint store = {};
  bool launcher_serves = false;  ///< the store; otherwise rank 0 does
  std::string run = {};  ///< stands before the store's keys: other runs may use the store, too

  bool serves_store() const { return rank == 0 && !launcher_serves; }
};

/// Gives the value of an environment variable, nullptr where there is none.
using Environment = std::function<const char*(const char* variable)>;

/// Reads what a launcher told this process, the first of
///   torchrun  RANK, WORLD_SIZE, LOCAL_RANK, LOCAL_WORLD_SIZE, MASTER_ADDR, MASTER_PORT. Where
///             TORCHELASTIC_USE_AGENT_STORE is True, the launcher serves the store. The run is
///             TORCHELASTIC_RUN_ID and TORCHELASTIC_RESTART_COUNT. run_ranks() sets the same and
///             LONGGEN_RANKS.
///   srun      SLURM_PROCID, SLURM_STEP_NUM_TASKS, SLURM_LOCALID, SLURM_STEP_TASKS_PER_NODE,
///             SLURM_STEP_NODELIST, SLURM_JOB_ID, SLURM_STEP_ID. A batch script has no step: what
///             it calls without srun is one process.
///   mpirun    OMPI_COMM_WORLD_RANK, _SIZE, _LOCAL_RANK, _LOCAL_SIZE (Open MPI)
/// nullopt where there is none of them, and where there is one rank. MASTER_ADDR and MASTER_PORT
/// say for all of them where the store is. Throws Error naming the variable.
std::optional<RankPlace> find_rank_place(const Environment& environment);

/// The first name of a list of Slurm's: "node01" of "node[01-04,7],login".
std::string first_host(const std::string& node_list);

}  // namespace longgen
