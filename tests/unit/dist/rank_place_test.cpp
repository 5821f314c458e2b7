#include "longgen/dist/rank_place.h"

#include <gtest/gtest.h>

#include <map>

#include "longgen/dist/launch.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

using Variables = std::map<std::string, std::string>;

std::optional<RankPlace> place(const Variables& variables) {
  return find_rank_place([&](const char* name) -> const char* {
    const auto found = variables.find(name);
    return found == variables.end() ? nullptr : found->second.c_str();
  });
}

std::string error(const Variables& variables) {
  return error_of([&] { place(variables); });
}

const Variables kTorchrun = {{"RANK", "3"},        {"WORLD_SIZE", "4"},
                             {"LOCAL_RANK", "1"},  {"LOCAL_WORLD_SIZE", "2"},
                             {"MASTER_ADDR", "a"}, {"MASTER_PORT", "1234"}};

Variables with(Variables variables, const Variables& more) {
  for (const auto& [name, value] : more) variables[name] = value;
  return variables;
}

TEST(RankPlace, NothingIsOneProcess) {
  EXPECT_FALSE(place({}));
  EXPECT_FALSE(place({{"RANK", "0"}}));
  EXPECT_FALSE(place(
      with(kTorchrun,
           {{"WORLD_SIZE", "1"}, {"RANK", "0"}, {"LOCAL_WORLD_SIZE", "1"}, {"LOCAL_RANK", "0"}})));
  // A batch script, which srun did not start.
  EXPECT_FALSE(place({{"SLURM_PROCID", "0"}, {"SLURM_NTASKS", "8"}, {"SLURM_JOB_ID", "7"}}));
}

TEST(RankPlace, Torchrun) {
  const RankPlace found = *place(with(kTorchrun, {{"TORCHELASTIC_USE_AGENT_STORE", "True"},
                                                  {"TORCHELASTIC_RUN_ID", "abc"},
                                                  {"TORCHELASTIC_RESTART_COUNT", "2"}}));
  EXPECT_EQ(found.launcher, "torchrun");
  EXPECT_EQ(found.rank, 3);
  EXPECT_EQ(found.num_ranks, 4);
  EXPECT_EQ(found.local_rank, 1);
  EXPECT_EQ(found.num_local_ranks, 2);
  EXPECT_EQ(found.store.text(), "a:1234");
  EXPECT_TRUE(found.launcher_serves);
  EXPECT_EQ(found.run, "abc/2");
  EXPECT_FALSE(found.is_one_host);
  EXPECT_FALSE(place(kTorchrun)->launcher_serves);
  // Where nobody says how many are here, they may be anywhere.
  Variables fewer = kTorchrun;
  fewer.erase("LOCAL_WORLD_SIZE");
  EXPECT_FALSE(place(fewer)->is_one_host);
  EXPECT_EQ(place(fewer)->num_local_ranks, 4);
  EXPECT_TRUE(place(with(kTorchrun, {{"LOCAL_WORLD_SIZE", "4"}}))->is_one_host);
  EXPECT_TRUE(place(with(kTorchrun, {{"RANK", "0"}}))->serves_store());
}

TEST(RankPlace, Srun) {
  const RankPlace found = *place({{"SLURM_PROCID", "9"},
                                  {"SLURM_STEP_NUM_TASKS", "16"},
                                  {"SLURM_LOCALID", "1"},
                                  {"SLURM_STEP_TASKS_PER_NODE", "8(x2)"},
                                  {"SLURM_STEP_NODELIST", "gpu[07-08,11]-a,login"},
                                  {"SLURM_JOB_ID", "1000"},
                                  {"SLURM_STEP_ID", "3"}});
  EXPECT_EQ(found.launcher, "srun");
  EXPECT_EQ(found.rank, 9);
  EXPECT_EQ(found.local_rank, 1);
  EXPECT_EQ(found.num_local_ranks, 8);
  EXPECT_EQ(found.store.text(), "gpu07-a:27003");
  EXPECT_FALSE(found.launcher_serves);
  EXPECT_EQ(found.run, "1000.3/0");
}

TEST(RankPlace, FirstHostOfALists) {
  EXPECT_EQ(first_host("node1"), "node1");
  EXPECT_EQ(first_host("node1,node2"), "node1");
  EXPECT_EQ(first_host("a[3,5-7],b"), "a3");
  EXPECT_EQ(error_of([] { first_host("a[3"); }),
            "SLURM_STEP_NODELIST: expected a list such as node[01-04], found \"a[3\". Set "
            "MASTER_ADDR to the machine of rank 0.");
}

TEST(RankPlace, Mpirun) {
  Variables variables = {{"OMPI_COMM_WORLD_RANK", "1"},
                         {"OMPI_COMM_WORLD_SIZE", "2"},
                         {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                         {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
  EXPECT_EQ(place(variables)->store.text(), "127.0.0.1:29500");
  variables["OMPI_COMM_WORLD_LOCAL_SIZE"] = "1";
  variables["OMPI_COMM_WORLD_LOCAL_RANK"] = "0";
  EXPECT_EQ(error(variables),
            "MASTER_ADDR: expected the machine of rank 0, because mpirun started ranks on several, "
            "found none. Give mpirun -x MASTER_ADDR=HOST.");
  variables["MASTER_ADDR"] = "::1";
  EXPECT_EQ(place(variables)->store.text(), "[::1]:29500");
}

TEST(RankPlace, WrongValuesNameTheVariable) {
  const std::string advice =
      ". The launcher sets it (torchrun, srun or mpirun); unset all such variables to run as one "
      "process.";
  EXPECT_EQ(error(with(kTorchrun, {{"RANK", "4"}})),
            "RANK: expected a number from 0 to 3, found \"4\"" + advice);
  EXPECT_EQ(error(with(kTorchrun, {{"WORLD_SIZE", "many"}})),
            "WORLD_SIZE: expected a number from 1 to 256, found \"many\"" + advice);
  EXPECT_EQ(error(with(kTorchrun, {{"MASTER_PORT", "0"}})),
            "MASTER_PORT: expected a number from 1 to 65535, found \"0\"" + advice);
  EXPECT_EQ(error(with(kTorchrun, {{"MASTER_ADDR", ""}})),
            "MASTER_ADDR: expected a value, found none" + advice);
}

TEST(RankPlace, ReadsWhatRunRanksSets) {
  const LaunchOptions options = {
      .num_ranks = 3, .command_line = {}, .store = {"127.0.0.1", 77}, .run = "r", .log_of = {}};
  Variables variables;
  for (const std::string& entry : rank_environment(options, 2)) {
    const size_t equals = entry.find('=');
    variables[entry.substr(0, equals)] = entry.substr(equals + 1);
  }
  const RankPlace found = *place(variables);
  EXPECT_EQ(found.launcher, "--ranks");
  EXPECT_EQ(found.rank, 2);
  EXPECT_EQ(found.num_ranks, 3);
  EXPECT_TRUE(found.launcher_serves);
  EXPECT_TRUE(found.is_one_host);
  EXPECT_EQ(found.run, "r/0");
}

}  // namespace
}  // namespace longgen
