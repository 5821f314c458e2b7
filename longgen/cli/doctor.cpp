// longgen doctor: what this machine has, what longgen uses of it, what is missing and what to do.
#include <torch/headeronly/version.h>

#include <algorithm>
#include <memory>
#include <thread>

#include "longgen/api/load.h"
#include "longgen/attention/cpu/tile_kernels.h"
#include "longgen/base/check.h"
#include "longgen/base/cpu_features.h"
#include "longgen/base/host.h"
#include "longgen/base/json.h"
#include "longgen/base/process.h"
#include "longgen/base/units.h"
#include "longgen/cli/commands.h"
#include "longgen/cli/options.h"
#include "longgen/cli/output.h"
#include "longgen/device/gpu_plugin.h"

namespace longgen {
namespace {

/// What is known of the GPU that --device cuda uses.
struct GpuState {
  NvidiaDriver driver;
  std::string missing;  ///< why --device cuda cannot be used; empty if it can
  GpuProperties properties;

  bool is_ready() const { return missing.empty(); }
  /// A GPU that cannot be used is a fault; a machine without one is not.
  bool is_fault() const { return !is_ready() && (!driver.gpus.empty() || !driver.version.empty()); }
};

struct Diagnosis {
  std::string processor, kernels, auto_dtype, gnuplot;
  unsigned num_cores = 0;
  MachineMemory memory;
  GpuState gpu;
};

GpuState look_at_gpu() {
  GpuState state = {.driver = nvidia_driver(), .missing = missing_for_gpu(), .properties = {}};
  if (num_gpus() > 0) state.properties = gpu_backend().properties(nth_gpu(0));
  return state;
}

/// Returns "gnuplot 5.4 patchlevel 4"; empty where it is not on PATH.
std::string gnuplot_version() {
  try {
    const std::string text = run_program({"gnuplot", "--version"});
    return text.substr(0, text.find('\n'));
  } catch (const Error&) {
    return "";
  }
}

Diagnosis diagnose() {
  return {.processor = processor_name(),
          .kernels = cpu::tile_kernels().instruction_set,
          .auto_dtype = ModelOptions{}.compute_dtype(),
          .gnuplot = gnuplot_version(),
          .num_cores = std::max(1U, std::thread::hardware_concurrency()),
          .memory = machine_memory(),
          .gpu = look_at_gpu()};
}

/// Lists what is missing and what to do, a sentence or two each.
std::vector<std::string> advice(const Diagnosis& found) {
  std::vector<std::string> lines;
  if (found.gpu.is_fault()) {
    lines.push_back("--device cuda cannot be used: " + found.gpu.missing);
  } else if (!found.gpu.is_ready()) {
    lines.push_back(
        "There is no NVIDIA GPU or no driver for it: --device cpu works, --device cuda does not. On a "
        "machine with an H100 or H200 install NVIDIA's driver, run scripts/setup.sh --cuda and "
        "build again.");
  }
  if (found.kernels == std::string("baseline")) {
    lines.push_back("The processor has no AVX2: attention on the CPU takes its slowest kernels.");
  }
  if (found.gnuplot.empty()) {
    lines.push_back(
        "gnuplot is not on PATH: reports of eval have no pictures. Install gnuplot-nox.");
  }
  return lines;
}

std::string gpu_name(const GpuState& gpu) {
  if (!gpu.properties.name.empty()) {
    return detail::concat(gpu.properties.name, ", compute capability ", gpu.properties.major, ".",
                          gpu.properties.minor, ", ", format_bytes(gpu.properties.memory_bytes));
  }
  std::string names;
  for (const std::string& name : gpu.driver.gpus) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? "none" : names;
}

std::string to_text(const Diagnosis& found) {
  const GpuState& gpu = found.gpu;
  const bool fast = found.auto_dtype == "bfloat16";
  const std::vector<std::pair<std::string, std::string>> facts = {
      {"longgen", LONGGEN_VERSION},
      {"processor", found.processor},
      {"kernels",
       found.kernels + (found.kernels == std::string("avx512") ? "" : " (avx512 is faster)")},
      {"bfloat16", fast ? "faster than float32: --dtype auto is bfloat16"
                        : "not faster than float32 on this processor: --dtype auto is float32"},
      {"cores", std::to_string(found.num_cores)},
      {"memory", format_bytes(found.memory.total_bytes) + ", " +
                     format_bytes(found.memory.available_bytes) + " free"},
      {"torch", TORCH_VERSION},
      {"driver", gpu.driver.version.empty() ? "none" : gpu.driver.version},
      {"GPU", gpu_name(gpu)},
      {"--device cuda", gpu.is_ready() ? "ready" : "not usable"},
      {"gnuplot", found.gnuplot.empty() ? "none" : found.gnuplot}};
  std::string text;
  constexpr size_t kColumn = 15;  // after the longest name
  for (const auto& [name, value] : facts) {
    text += name + std::string(kColumn - name.size(), ' ') + value + "\n";
  }
  for (const std::string& line : advice(found)) text += "\n" + line + "\n";
  return text;
}

OrderedJson to_json(const Diagnosis& found) {
  const GpuState& gpu = found.gpu;
  const auto text_or_null = [](const std::string& text) {
    return text.empty() ? OrderedJson() : OrderedJson(text);
  };
  OrderedJson device = {{"driver", text_or_null(gpu.driver.version)},
                        {"listed", gpu.driver.gpus},
                        {"usable", gpu.is_ready()},
                        {"missing", text_or_null(gpu.missing)},
                        {"name", text_or_null(gpu.properties.name)},
                        {"compute_capability", nullptr},
                        {"memory_bytes", gpu.properties.memory_bytes}};
  if (!gpu.properties.name.empty()) {
    device["compute_capability"] = detail::concat(gpu.properties.major, ".", gpu.properties.minor);
  }
  return {{"version", LONGGEN_VERSION},
          {"processor", found.processor},
          {"kernels", found.kernels},
          {"dtype_auto", found.auto_dtype},
          {"training_precision", multiplies_bfloat16() ? "bfloat16" : "float32"},
          {"cores", found.num_cores},
          {"memory_bytes", found.memory.total_bytes},
          {"memory_available_bytes", found.memory.available_bytes},
          {"torch", TORCH_VERSION},
          {"gpu", std::move(device)},
          {"gnuplot", text_or_null(found.gnuplot)},
          {"advice", advice(found)}};
}

int doctor(bool json) {
  const Diagnosis found = diagnose();
  Output output;
  output.write(json ? dump_json(to_json(found)) + "\n" : to_text(found));
  output.flush();
  LG_CHECK(!found.gpu.is_fault(), "--device cuda: ", found.gpu.missing);
  return 0;
}

}  // namespace

void add_doctor(CommandSet& commands) {
  auto json = std::make_shared<bool>(false);
  CLI::App* const app = commands.add(CommandGroup::program, "doctor",
                                     "show what this machine has, and what longgen misses");
  add_json_flag(app, *json);
  commands.on_run(app, [json] { return doctor(*json); });
}

}  // namespace longgen
