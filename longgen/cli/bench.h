// cli/bench.h: the subcommands of `longgen bench`.
#pragma once

#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "longgen/api/load.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/list_options.h"
#include "longgen/cli/options.h"

namespace longgen {

void add_bench_attention(CommandSet& commands, CLI::App* bench);
void add_bench_decode(CommandSet& commands, CLI::App* bench);
void add_bench_model(CommandSet& commands, CLI::App* bench);
void add_bench_ops(CommandSet& commands, CLI::App* bench);
void add_bench_serve(CommandSet& commands, CLI::App* bench);

/// Adds --patterns, separated by spaces as a pattern has commas. The help ends with `defaults`.
void add_patterns_option(CLI::App* app, std::vector<std::string>& patterns,
                         const std::string& defaults);

/// Adds --repeats, whose default is the value that `repeats` has now.
void add_repeats_option(CLI::App* app, int64_t& repeats);

/// Adds the --device of a part that has no twin on the CPU.
void add_gpu_option(CLI::App* app, std::string& device);
/// Opens the GPU that it names, for the part. Throws Error saying what is missing.
at::Device open_gpu(const std::string& part, const std::string& name);

}  // namespace longgen
