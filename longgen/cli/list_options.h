// cli/list_options.h: options that take several values with commas between. A value that is missing
// (a comma at the end, two in a row) is a usage error, as everything that cannot be read is.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace longgen {

CLI::Option* add_list_option(CLI::App* app, const std::string& name,
                             std::vector<std::string>& values, const std::string& description);

/// Adds such an option where each value is one of `choices`.
CLI::Option* add_choices_option(CLI::App* app, const std::string& name,
                                std::vector<std::string>& values,
                                const std::vector<std::string>& choices,
                                const std::string& description);

/// Adds such an option of counts such as 16384 or 128K, each at least 1.
CLI::Option* add_counts_option(CLI::App* app, const std::string& name, std::vector<int64_t>& values,
                               const std::string& description);

/// Adds such an option of numbers from low to high.
CLI::Option* add_numbers_option(CLI::App* app, const std::string& name, std::vector<double>& values,
                                double low, double high, const std::string& description);

/// Adds an option of names with shares such as recall:2,chains; a share is a number above 0, 1
/// where none is given. No name may come twice.
struct NamedShare {
  std::string name;
  double share;
};
CLI::Option* add_shares_option(CLI::App* app, const std::string& name,
                               std::vector<NamedShare>& values, const std::string& description);

struct HeadCounts {
  int64_t num_heads, num_kv_heads;
};
/// Adds --heads 32/32,32/8, each pair query heads and KV heads.
CLI::Option* add_heads_option(CLI::App* app, std::vector<HeadCounts>& heads,
                              const std::string& description);

struct SequenceCounts {
  int64_t num_sequences, num_tokens;
};
/// Adds --sequences 1x128K,8x32K, each a number of sequences and the tokens of each.
CLI::Option* add_sequences_option(CLI::App* app, std::vector<SequenceCounts>& sequences,
                                  const std::string& description);

}  // namespace longgen
