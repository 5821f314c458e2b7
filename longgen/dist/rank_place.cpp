#include "longgen/dist/rank_place.h"

#include <charconv>
#include <cstdint>
#include <string_view>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int kDefaultPort = 29500;  // of torchrun

class Variables {
 public:
  explicit Variables(const Environment& environment) : environment_(environment) {}

  bool has(const char* name) const { return environment_(name) != nullptr; }

  std::string text(const char* name, const std::string& fallback) const {
    const char* const value = environment_(name);
    return value != nullptr && *value != '\0' ? value : fallback;
  }

  std::string text(const char* name) const {
    const std::string value = text(name, "");
    LG_CHECK(!value.empty(), name, ": expected a value, found none. ", advice());
    return value;
  }

  int number(const char* name, int low, int high) const {
    const std::string value = text(name);
    int number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    LG_CHECK(error == std::errc() && end == value.data() + value.size() && number >= low &&
                 number <= high,
             name, ": expected a number from ", low, " to ", high, ", found \"", value, "\". ",
             advice());
    return number;
  }

  int number(const char* name, int low, int high, int fallback) const {
    return has(name) ? number(name, low, high) : fallback;
  }

 private:
  static std::string advice() {
    return "The launcher sets it (torchrun, srun or mpirun); unset all such variables to run as "
           "one process.";
  }

  const Environment& environment_;
};

Endpoint store_endpoint(const Variables& variables, const std::string& host, int port) {
  return {variables.text("MASTER_ADDR", host), variables.number("MASTER_PORT", 1, 65535, port)};
}

void set_counts(const Variables& variables, const char* rank, const char* size, RankPlace& place) {
  place.num_ranks = variables.number(size, 1, kMaxRanks);
  place.rank = variables.number(rank, 0, place.num_ranks - 1);
}

/// num_local is 0 where the launcher does not say.
void set_local(const Variables& variables, const char* rank, int num_local, RankPlace& place) {
  place.is_one_host = num_local == place.num_ranks;
  place.num_local_ranks = num_local > 0 ? num_local : place.num_ranks;
  place.local_rank = variables.number(rank, 0, place.num_local_ranks - 1, 0);
}

RankPlace torchrun_place(const Variables& variables) {
  RankPlace place = {.launcher = variables.has("LONGGEN_RANKS") ? "--ranks" : "torchrun"};
  set_counts(variables, "RANK", "WORLD_SIZE", place);
  set_local(variables, "LOCAL_RANK", variables.number("LOCAL_WORLD_SIZE", 1, place.num_ranks, 0),
            place);
  variables.text("MASTER_ADDR");
  place.store = store_endpoint(variables, "", kDefaultPort);
  place.launcher_serves = variables.text("TORCHELASTIC_USE_AGENT_STORE", "False") == "True";
  place.run = variables.text("TORCHELASTIC_RUN_ID", "run") + "/" +
              variables.text("TORCHELASTIC_RESTART_COUNT", "0");
  return place;
}

/// Reads "4" of "4(x2),3", the tasks of the first machines.
int first_number(const std::string& text) {
  int number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

RankPlace slurm_place(const Variables& variables) {
  RankPlace place = {.launcher = "srun"};
  set_counts(variables, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", place);
  const int most = first_number(variables.text("SLURM_STEP_TASKS_PER_NODE", "0"));
  set_local(variables, "SLURM_LOCALID", most >= 1 && most <= place.num_ranks ? most : 0, place);
  const std::string job = variables.text("SLURM_JOB_ID", "0"),
                    step = variables.text("SLURM_STEP_ID", "0");
  // Jobs that share a machine have other numbers. Below are the ports of services, above those
  // that the system gives to connections.
  const int64_t number = int64_t{first_number(job)} * 7 + first_number(step);
  const int port = 20000 + static_cast<int>(number % 10000);
  place.store = store_endpoint(
      variables, first_host(variables.text("SLURM_STEP_NODELIST", "127.0.0.1")), port);
  place.run = job + "." + step + "/" + variables.text("SLURM_RESTART_COUNT", "0");
  return place;
}

RankPlace open_mpi_place(const Variables& variables) {
  RankPlace place = {.launcher = "mpirun"};
  set_counts(variables, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", place);
  set_local(variables, "OMPI_COMM_WORLD_LOCAL_RANK",
            variables.number("OMPI_COMM_WORLD_LOCAL_SIZE", 1, place.num_ranks), place);
  LG_CHECK(place.is_one_host || variables.has("MASTER_ADDR"),
           "MASTER_ADDR: expected the machine of rank 0, because mpirun started ranks on several, "
           "found none. Give mpirun -x MASTER_ADDR=HOST.");
  place.store = store_endpoint(variables, "127.0.0.1", kDefaultPort);
  place.run = "run/0";
  return place;
}

}  // namespace

std::string first_host(const std::string& node_list) {
  const size_t end = node_list.find_first_of(",[");
  if (end == std::string::npos || node_list[end] == ',') return node_list.substr(0, end);
  const size_t number_end = node_list.find_first_of(",-]", end);
  LG_CHECK(number_end != std::string::npos,
           "SLURM_STEP_NODELIST: expected a list such as "
           "node[01-04], found \"",
           node_list, "\". Set MASTER_ADDR to the machine of rank 0.");
  // A name may go on behind the bracket: "rack[1-2]-gpu".
  const size_t close = node_list.find(']', end);
  const std::string rest =
      close == std::string::npos
          ? ""
          : node_list.substr(close + 1, node_list.find(',', close) - close - 1);
  return node_list.substr(0, end) + node_list.substr(end + 1, number_end - end - 1) + rest;
}

std::optional<RankPlace> find_rank_place(const Environment& environment) {
  const Variables variables(environment);
  std::optional<RankPlace> place;
  if (variables.has("RANK") && variables.has("WORLD_SIZE")) {
    place = torchrun_place(variables);
  } else if (variables.has("SLURM_STEP_NUM_TASKS") && variables.has("SLURM_PROCID")) {
    place = slurm_place(variables);
  } else if (variables.has("OMPI_COMM_WORLD_SIZE")) {
    place = open_mpi_place(variables);
  }
  if (place && place->num_ranks == 1) return std::nullopt;
  return place;
}

}  // namespace longgen
