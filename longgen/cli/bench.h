// cli/bench.h: the subcommands of `longgen bench`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "longgen/cli/commands.h"
#include "longgen/cli/load.h"

namespace longgen {

void add_bench_attention(CommandSet& commands, CLI::App* bench);
void add_bench_decode(CommandSet& commands, CLI::App* bench);
void add_bench_model(CommandSet& commands, CLI::App* bench);
void add_bench_ops(CommandSet& commands, CLI::App* bench);

/// An option whose values are separated by commas.
CLI::Option* add_list_option(CLI::App* app, const std::string& name,
                             std::vector<std::string>& values, const std::string& description);

/// The same of counts such as 16384 or 128K, each at least 1.
CLI::Option* add_counts_option(CLI::App* app, const std::string& name, std::vector<int64_t>& values,
                               const std::string& description);

/// --patterns: separated by spaces, because a pattern has commas. `defaults` says which.
void add_patterns_option(CLI::App* app, std::vector<std::string>& patterns,
                         const std::string& defaults);

/// --repeats, whose default is what it is now.
void add_repeats_option(CLI::App* app, int64_t& repeats);

/// The GPU, for a part that has no twin on the CPU. Throws Error saying what is missing.
at::Device open_gpu(const std::string& part);

struct HeadCounts {
  int64_t num_heads, num_kv_heads;
};
/// --heads 32/32,32/8: query heads and KV heads.
CLI::Option* add_heads_option(CLI::App* app, std::vector<HeadCounts>& heads,
                              const std::string& description);

struct SequenceCounts {
  int64_t num_sequences, num_tokens;
};
/// --sequences 1x128K,8x32K: how many, of how many tokens.
CLI::Option* add_sequences_option(CLI::App* app, std::vector<SequenceCounts>& sequences,
                                  const std::string& description);

}  // namespace longgen
