// cli/bench.h: the subcommands of `longgen bench`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "longgen/cli/commands.h"

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
