// cli/options.h: options that several commands share.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

namespace longgen {

/// --device, --dtype and --threads of every command that runs a model.
struct ModelOptions {
  std::string device = "cpu";  ///< cpu or cuda
  std::string dtype;           ///< float32 or bfloat16; empty where it was not given
  int64_t threads = 0;         ///< 0: one per core

  /// The one given, or else what the device is best at.
  std::string compute_dtype() const {
    return !dtype.empty() ? dtype : device == "cuda" ? "bfloat16" : "float32";
  }
};
void add_model_options(CLI::App* command, ModelOptions& options);

/// --device alone.
void add_device_option(CLI::App* command, std::string& device);

/// --json: the report as one JSON object on stdout, instead of text.
void add_json_flag(CLI::App* command, bool& json);

/// --quiet: no progress bar and no information on stderr, only warnings. Calls set_quiet().
void add_quiet_flag(CLI::App* command, bool& quiet);

/// --threads, 0 (one per core) to kMaxThreads.
void add_threads_option(CLI::App* command, int64_t& threads);

/// An option whose value is a count such as 16384, 16K or 1M, at least `low`.
CLI::Option* add_count_option(CLI::App* command, const std::string& name, int64_t& value,
                              int64_t low, const std::string& description);

/// --seed, any number of 64 bits, default 0. `description` says of what.
void add_seed_option(CLI::App* command, uint64_t& seed, const std::string& description);

/// Accepts numbers from low to high; NaN is none.
CLI::Validator number_between(double low, double high);

}  // namespace longgen
