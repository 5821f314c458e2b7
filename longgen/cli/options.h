// cli/options.h: options that several commands share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/api/model_options.h"

namespace longgen {

/// Adds --device, --dtype and --threads, which every command has that runs a model.
void add_model_options(CLI::App* command, ModelOptions& options);

/// Adds --device alone: cpu, cuda or cuda:N.
void add_device_option(CLI::App* command, std::string& device);

/// Adds --json, with which the report is one JSON object on stdout instead of text.
void add_json_flag(CLI::App* command, bool& json);

/// Adds --quiet: no progress bar and no information on stderr, only warnings. It calls set_quiet().
/// Every command has it: those that show no progress themselves get it from CommandSet::on_run().
void add_quiet_flag(CLI::App* command, bool& quiet);
void add_quiet_flag(CLI::App* command);

/// Adds --threads, from 0 (one per core) to kMaxThreads.
void add_threads_option(CLI::App* command, int64_t& threads);

/// Adds an option whose value is one of `choices`. Another value is a usage error that lists them
/// and names the one that is likely meant. The help shows them as a|b|c.
CLI::Option* add_choice_option(CLI::App* command, const std::string& name, std::string& value,
                               const std::vector<std::string>& choices,
                               const std::string& description);

/// Adds the --dtype of commands that count bytes: float32 or bfloat16.
void add_number_format_option(CLI::App* command, std::string& dtype,
                              const std::string& description);

/// Adds an option whose value is a count such as 16384, 16K or 1M, at least `low`.
CLI::Option* add_count_option(CLI::App* command, const std::string& name, int64_t& value,
                              int64_t low, const std::string& description);

/// Adds an option whose value is a percentage above 0 and at most 100, such as 1% or 0.5. It
/// becomes a share: 0.01.
CLI::Option* add_percent_option(CLI::App* command, const std::string& name,
                                std::optional<double>& share, const std::string& description);

/// Adds --chunk, the prefill chunk size: how many tokens of a prompt pass the layers at once.
void add_prefill_chunk_option(CLI::App* command, int64_t& chunk);

/// Adds --seed, any number of 64 bits, 0 by default. `description` says what it is the seed of.
void add_seed_option(CLI::App* command, uint64_t& seed, const std::string& description);

/// Accepts numbers from low to high; NaN is none.
CLI::Validator number_between(double low, double high);

/// Accepts `choices`, as add_choice_option() says.
CLI::Validator one_of(const std::vector<std::string>& choices);

}  // namespace longgen
