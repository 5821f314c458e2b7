#include "longgen/api/load.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include "longgen/attention/gpu_plugin.h"
#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/threads.h"
#include "longgen/model/model_directory.h"
#include "longgen/model/model_path.h"
#include "longgen/ops/gpu_ops.h"
#include "longgen/plan/devices.h"

namespace longgen {

void set_threads(int64_t threads) {
  at::set_num_threads(static_cast<int>(threads == 0 ? default_threads() : threads));
}

std::string missing_for_gpu() {
  const std::string& missing = load_gpu_plugin();
  if (!missing.empty()) return missing;
  if (!at::globalContext().hasCUDA() || at::detail::getCUDAHooks().getNumGPUs() < 1) {
    return "the NVIDIA driver offers this process no GPU (see nvidia-smi and "
           "CUDA_VISIBLE_DEVICES).";
  }
  const gpu::Properties gpu = gpu::properties();
  const std::string capability = detail::concat(gpu.major, ".", gpu.minor);
  if (capability == kKernelCapability) return "";
  return detail::concat("the kernels are made for compute capability ", kKernelCapability,
                        " (H100, H200, GH200), and ", gpu.name, " has ", capability, ".");
}

at::Device open_device(const std::string& name) {
  if (name != "cuda") return at::kCPU;
  const std::string missing = missing_for_gpu();
  LG_CHECK(missing.empty(), "--device cuda: ", missing, " Use --device cpu.");
  // Sums within a bf16 matrix product stay fp32.
  at::globalContext().setAllowBF16ReductionCuBLAS(/*allow_reduced_precision=*/false);
  return {at::kCUDA, 0};
}

namespace {

/// Says once a process what --dtype auto chose, as a command may load several models.
void say_computation(const ModelOptions& options) {
  static bool said = false;
  if (said || options.dtype != "auto") return;
  said = true;
  const std::string dtype = options.compute_dtype();
  const char* const reason = options.device == "cuda" ? "GPU"
                             : dtype == "bfloat16"
                                 ? "CPU, which is faster with it; --dtype float32 is more exact"
                                 : "CPU, which is not faster with bfloat16";
  log_info("computing in " + dtype + " on the " + reason);
}

}  // namespace

Computation open_computation(const ModelOptions& options) {
  LG_CHECK(
      options.device != "cuda" || options.compute_dtype() == "bfloat16",
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
