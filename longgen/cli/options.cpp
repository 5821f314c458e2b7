#include "longgen/cli/options.h"

#include <charconv>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/threads.h"
#include "longgen/base/units.h"

namespace longgen {
namespace {

/// CLI11's own check lists the values in a set notation that help texts do not need.
CLI::Validator one_of(const std::string& first, const std::string& second) {
  return {[first, second](std::string& value) {
            return value == first || value == second
                       ? std::string()
                       : "expected " + first + " or " + second + ", found \"" + value + "\"";
          },
          ""};
}

}  // namespace

void add_device_option(CLI::App* command, std::string& device) {
  command->add_option("--device", device, "where to compute (default cpu)")
      ->option_text("cpu|cuda")
      ->check(one_of("cpu", "cuda"));
}

void add_model_options(CLI::App* command, ModelOptions& options) {
  add_device_option(command, options.device);
  command
      ->add_option("--dtype", options.dtype,
                   "numbers to compute with (default float32; bfloat16 on cuda)")
      ->option_text("float32|bfloat16")
      ->check(one_of("float32", "bfloat16"));
  add_threads_option(command, options.threads);
}

void add_json_flag(CLI::App* command, bool& json) {
  command->add_flag("--json", json, "print the report as one JSON object");
}

void add_quiet_flag(CLI::App* command, bool& quiet) {
  command->add_flag_callback(
      "--quiet",
      [&quiet] {
        quiet = true;
        set_quiet(true);
      },
      "no progress on stderr, only warnings");
}

void add_threads_option(CLI::App* command, int64_t& threads) {
  command->add_option("--threads", threads, "threads to use (default: one per core)")
      ->option_text("N")
      ->check(number_between(0, kMaxThreads));
}

CLI::Option* add_count_option(CLI::App* command, const std::string& name, int64_t& value,
                              int64_t low, const std::string& description) {
  const auto read = [name, &value, low](const std::string& text) {
    try {
      value = parse_count(text, name);
      LG_CHECK(value >= low, name, ": expected at least ", low, ", found ", value, ".");
    } catch (const Error& error) {
      throw CLI::ValidationError(error.what());
    }
  };
  return command->add_option_function<std::string>(name, read, description)->option_text("N");
}

void add_seed_option(CLI::App* command, uint64_t& seed, const std::string& description) {
  const auto read = [&seed](const std::string& text) {  // CLI11 reads -1 as the largest number
    const char* const end = text.data() + text.size();
    const auto [rest, error] = std::from_chars(text.data(), end, seed);
    if (error == std::errc() && rest == end) return;
    throw CLI::ValidationError(
        "--seed: expected a number from 0 to 18446744073709551615, found \"" + text + "\"");
  };
  command
      ->add_option_function<std::string>("--seed", read,
                                         description + " (default " + std::to_string(seed) + ")")
      ->option_text("N");
}

CLI::Validator number_between(double low, double high) {
  return {[low, high](std::string& text) {
            double value = 0;
            const char* const end = text.data() + text.size();
            const auto [rest, error] = std::from_chars(text.data(), end, value);
            const bool good = error == std::errc() && rest == end && value >= low && value <= high;
            return good ? std::string()
                        : detail::concat("expected a number from ", low, " to ", high, ", found \"",
                                         text, "\"");
          },
          ""};
}

}  // namespace longgen
