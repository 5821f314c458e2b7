#include "longgen/api/load.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/threads.h"
#include "longgen/device/gpu_plugin.h"
#include "longgen/model/model_directory.h"
#include "longgen/model/model_path.h"
#include "longgen/plan/devices.h"

namespace longgen {

void set_threads(int64_t threads) {
  at::set_num_threads(static_cast<int>(threads == 0 ? default_threads() : threads));
}

std::string missing_for_gpu(int index) {
  const std::string& missing = load_gpu_plugin();
  if (!missing.empty()) return missing;
  const std::string missing_number = missing_gpu_number(index, num_gpus());
  if (!missing_number.empty()) return missing_number;
  const GpuProperties gpu = gpu_backend().properties(nth_gpu(index));
  const std::string capability = detail::concat(gpu.major, ".", gpu.minor);
  if (capability == kKernelCapability) return "";
  return detail::concat("the kernels are made for compute capability ", kKernelCapability,
                        " (H100, H200, GH200), and ", gpu.name, " has ", capability, ".");
}

at::Device open_device(const std::string& name) {
  const std::optional<int> index = gpu_index(name);
  if (!index) return at::kCPU;
  const std::string missing = missing_for_gpu(*index);
  LG_CHECK(missing.empty(), "--device ", name, ": ", missing, " Use --device cpu.");
  // Sums within a bf16 matrix product stay fp32.
  at::globalContext().setAllowBF16ReductionCuBLAS(/*allow_reduced_precision=*/false);
  const at::Device device = nth_gpu(*index);
  // Memory of the host is pinned for the current device: another GPU than ours need not wake.
  c10::impl::VirtualGuardImpl(device.type()).setDevice(device);
  return device;
}

namespace {

/// Says once a process what --dtype auto chose, as a command may load several models.
void say_computation(const ModelOptions& options) {
  static bool said = false;
  if (said || options.dtype != "auto") return;
  said = true;
  const std::string dtype = options.compute_dtype();
  const char* const reason = gpu_index(options.device) ? "GPU"
                             : dtype == "bfloat16"
                                 ? "CPU, which is faster with it; --dtype float32 is more exact"
                                 : "CPU, which is not faster with bfloat16";
  log_info("computing in " + dtype + " on the " + reason);
}

}  // namespace

Computation open_computation(const ModelOptions& options) {
  LG_CHECK(
      !gpu_index(options.device) || options.compute_dtype() == "bfloat16",
      "--dtype float32: on a GPU longgen computes in bfloat16, which its kernels are made for. "
      "Leave --dtype out, or use --device cpu.");
  const at::Device device = open_device(options.device);
  set_threads(options.threads);
  say_computation(options);
  return {device, options.compute_dtype() == "bfloat16" ? at::kBFloat16 : at::kFloat};
}

Decoder load_decoder(const std::string& directory, const ModelOptions& options) {
  const Computation computation = open_computation(options);
  return load_model(directory, {.dtype = computation.dtype, .device = computation.device});
}

Tokenizer open_tokenizer(const std::string& directory) {
  if (!fs::exists(fs::path(directory) / "tokenizer.json")) expect_model_directory(directory);
  return Tokenizer::load(directory);
}

LoadedModel load_with_tokenizer(const std::string& directory, const ModelOptions& options) {
  Tokenizer tokenizer = open_tokenizer(directory);
  Decoder decoder = load_decoder(directory, options);
  return {std::move(decoder), std::move(tokenizer)};
}

}  // namespace longgen
