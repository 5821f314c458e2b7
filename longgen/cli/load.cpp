#include "longgen/cli/load.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/detail/CUDAHooksInterface.h>

#include "longgen/attention/gpu_plugin.h"
#include "longgen/base/check.h"
#include "longgen/base/threads.h"
#include "longgen/model/model_directory.h"
#include "longgen/ops/gpu_ops.h"

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
  if (gpu.major == 9 && gpu.minor == 0) return "";
  return detail::concat("the kernels are made for compute capability 9.0 (H100, H200, GH200), and ",
                        gpu.name, " has ", gpu.major, ".", gpu.minor, ".");
}

at::Device open_device(const std::string& name) {
  if (name != "cuda") return at::kCPU;
  const std::string missing = missing_for_gpu();
  LG_CHECK(missing.empty(), "--device cuda: ", missing, " Use --device cpu.");
  // Sums within a bf16 matrix product stay fp32.
  at::globalContext().setAllowBF16ReductionCuBLAS(/*allow_reduced_precision=*/false);
  return {at::kCUDA, 0};
}

Computation open_computation(const ModelOptions& options) {
  LG_CHECK(
      options.device != "cuda" || options.compute_dtype() == "bfloat16",
      "--dtype float32: on a GPU longgen computes in bfloat16, which its kernels are made for. "
      "Leave --dtype out, or use --device cpu.");
  const at::Device device = open_device(options.device);
  set_threads(options.threads);
  return {device, options.compute_dtype() == "bfloat16" ? at::kBFloat16 : at::kFloat};
}

Decoder load_decoder(const std::string& directory, const ModelOptions& options) {
  const Computation computation = open_computation(options);
  return load_model(directory, {.dtype = computation.dtype, .device = computation.device});
}

LoadedModel load_with_tokenizer(const std::string& directory, const ModelOptions& options) {
  Tokenizer tokenizer = Tokenizer::load(directory);
  Decoder decoder = load_decoder(directory, options);
  return {std::move(decoder), std::move(tokenizer)};
}

}  // namespace longgen
