// longgen bench: measures speed and memory, of a model or of its parts.
#include "longgen/cli/bench.h"

#include "longgen/base/units.h"

namespace longgen {
namespace {

int64_t count_of(const std::string& text, const std::string& name) {
  try {
    const int64_t count = parse_count(text, name);
    LG_CHECK(count >= 1, name, ": expected at least 1, found ", text, ".");
    return count;
  } catch (const Error& error) {
    throw CLI::ValidationError(error.what());
  }
}

/// Two counts with a character between them, such as 32/8.
std::pair<int64_t, int64_t> pair_of(const std::string& text, char between, const std::string& name,
                                    const std::string& expected) {
  const size_t place = text.find(between);
  if (place == text.npos) {
    throw CLI::ValidationError(name + ": expected " + expected + ", found \"" + text + "\".");
  }
  return {count_of(text.substr(0, place), name), count_of(text.substr(place + 1), name)};
}

HeadCounts heads_of(const std::string& text) {
  const auto [queries, keys] = pair_of(text, '/', "--heads", "query heads/KV heads such as 32/8");
  if (queries % keys != 0) {
    throw CLI::ValidationError("--heads " + text +
                               ": expected query heads that are a multiple of the KV heads.");
  }
  return {queries, keys};
}

SequenceCounts sequences_of(const std::string& text) {
  const auto [sequences, tokens] =
      pair_of(text, 'x', "--sequences", "sequences x tokens such as 8x32K");
  return {sequences, tokens};
}

/// A list option of which each part is read by `read`.
template <typename Value, typename Read>
CLI::Option* add_parts_option(CLI::App* app, const std::string& name, std::vector<Value>& values,
                              const std::string& description, const Read& read) {
  const auto read_all = [&values, read](const std::vector<std::string>& parts) {
    values.clear();
    for (const std::string& part : parts) values.push_back(read(part));
  };
  return app->add_option_function<std::vector<std::string>>(name, read_all, description)
      ->option_text("LIST")
      ->allow_extra_args(false)
      ->delimiter(',');
}

}  // namespace

CLI::Option* add_list_option(CLI::App* app, const std::string& name,
                             std::vector<std::string>& values, const std::string& description) {
  return add_parts_option(app, name, values, description,
                          [](const std::string& part) { return part; });
}

CLI::Option* add_counts_option(CLI::App* app, const std::string& name, std::vector<int64_t>& values,
                               const std::string& description) {
  return add_parts_option(app, name, values, description,
                          [name](const std::string& part) { return count_of(part, name); });
}

void add_patterns_option(CLI::App* app, std::vector<std::string>& patterns,
                         const std::string& defaults) {
  app->add_option("--patterns", patterns,
                  "patterns, separated by spaces: full, sink, blocksparse or "
                  "sink=S,window=W,stride=N (default" +
                      defaults + ")")
      ->option_text("PATTERN...");
}

void add_repeats_option(CLI::App* app, int64_t& repeats) {
  add_count_option(
      app, "--repeats", repeats, 1,
      detail::concat("measurements of which the median counts (default ", repeats, ")"));
}

at::Device open_gpu(const std::string& part) {
  const std::string missing = missing_for_gpu();
  LG_CHECK(missing.empty(), "[", part, "] needs a GPU: ", missing);
  return open_device("cuda");
}

CLI::Option* add_heads_option(CLI::App* app, std::vector<HeadCounts>& heads,
                              const std::string& description) {
  return add_parts_option(app, "--heads", heads, description, heads_of);
}

CLI::Option* add_sequences_option(CLI::App* app, std::vector<SequenceCounts>& sequences,
                                  const std::string& description) {
  return add_parts_option(app, "--sequences", sequences, description, sequences_of);
}

void add_bench(CommandSet& commands) {
  CLI::App* const bench =
      commands.add(CommandGroup::evaluation, "bench", "measure speed and memory");
  bench->require_subcommand(1);
  add_bench_model(commands, bench);
  add_bench_attention(commands, bench);
  add_bench_decode(commands, bench);
  add_bench_ops(commands, bench);
}

}  // namespace longgen
