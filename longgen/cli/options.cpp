#include "longgen/cli/options.h"

#include <algorithm>
#include <charconv>
#include <functional>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/nearest_name.h"
#include "longgen/base/threads.h"
#include "longgen/base/units.h"
#include "longgen/plan/number_format.h"

namespace longgen {
namespace {

void set_quiet_flag(CLI::App* command, const std::function<void()>& also) {
  command->add_flag_callback(
      "--quiet",
      [also] {
        also();
        set_quiet(true);
      },
      "no progress on stderr, only warnings");
}

}  // namespace

void add_device_option(CLI::App* command, std::string& device) {
  const CLI::Validator is_device(
      [](std::string& value) {
        if (value == "cpu" || gpu_index(value)) return std::string();
        // The name that is nearest to "gpu" would be "cpu".
        const std::string near =
            value == "gpu" ? " Did you mean \"cuda\"?" : did_you_mean(value, {"cpu", "cuda"});
        return "expected cpu, cuda or cuda:N, found \"" + value + "\"." + near;
      },
      "");
  command->add_option("--device", device, "where to compute (default cpu)")
      ->option_text("cpu|cuda|cuda:N")
      ->check(is_device);
}

void add_model_options(CLI::App* command, ModelOptions& options) {
  add_device_option(command, options.device);
  add_choice_option(command, "--dtype", options.dtype, {"auto", "float32", "bfloat16"},
                    "compute precision (default auto: bfloat16 on a GPU and on processors that are "
                    "faster with it, else float32)");
  add_threads_option(command, options.threads);
}

void add_json_flag(CLI::App* command, bool& json) {
  command->add_flag("--json", json, "print the report as one JSON object");
}

void add_quiet_flag(CLI::App* command, bool& quiet) {
  set_quiet_flag(command, [&quiet] { quiet = true; });
}

void add_quiet_flag(CLI::App* command) {
  set_quiet_flag(command, [] {});
}

CLI::Option* add_choice_option(CLI::App* command, const std::string& name, std::string& value,
                               const std::vector<std::string>& choices,
                               const std::string& description) {
  std::string text;
  for (const std::string& choice : choices) text += (text.empty() ? "" : "|") + choice;
  return command->add_option(name, value, description)->option_text(text)->check(one_of(choices));
}

void add_number_format_option(CLI::App* command, std::string& dtype,
                              const std::string& description) {
  add_choice_option(command, "--dtype", dtype, kNumberFormats.names(), description);
}

void add_prefill_chunk_option(CLI::App* command, int64_t& chunk) {
  add_count_option(command, "--chunk", chunk, 1,
                   "prefill chunk size in tokens (default 512, on a GPU 8192)");
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

CLI::Option* add_percent_option(CLI::App* command, const std::string& name,
                                std::optional<double>& share, const std::string& description) {
  const auto read = [name, &share](const std::string& text) {
    const auto length = static_cast<int64_t>(text.size()) - (text.ends_with('%') ? 1 : 0);
    const char* const end = text.data() + length;
    double percent = 0;
    const auto [rest, error] = std::from_chars(text.data(), end, percent);
    if (error != std::errc() || rest != end || !(percent > 0 && percent <= 100)) {
      throw CLI::ValidationError(
          name + ": expected a percentage above 0 and at most 100, such as 1%, found \"" + text +
          "\"");
    }
    share = percent / 100;
  };
  return command->add_option_function<std::string>(name, read, description)->option_text("P%");
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

CLI::Validator one_of(const std::vector<std::string>& choices) {
  return {[choices](std::string& value) {
            const bool known = std::find(choices.begin(), choices.end(), value) != choices.end();
            return known ? std::string()
                         : "expected " + listed_names(choices) + ", found \"" + value + "\"." +
                               did_you_mean(value, choices);
          },
          ""};
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
