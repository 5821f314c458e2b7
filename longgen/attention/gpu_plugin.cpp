#include "longgen/attention/gpu_plugin.h"

#include <dlfcn.h>

#include <filesystem>

namespace longgen {
namespace {

std::string last_error() {
  const char* const error = dlerror();
  return error != nullptr ? error : "no reason given";
}

/// The one state of the driver that means that there is no GPU: CUDA_ERROR_NO_DEVICE.
constexpr int kNoDevice = 100;

std::string find_gpu() {
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (driver == nullptr) return "this machine has no NVIDIA driver (" + last_error() + ").";
  const auto init = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  // Every other failure is one of a machine with a GPU, which torch will name.
  if (init == nullptr || init(0) != kNoDevice) return "";
  return "the NVIDIA driver offers this process no GPU (see nvidia-smi and CUDA_VISIBLE_DEVICES).";
}

/// The plug-in lies beside the library that this function is in (liblonggen_ops.so).
std::filesystem::path plugin_path() {
  Dl_info info = {};
  dladdr(reinterpret_cast<const void*>(&load_gpu_plugin), &info);
  const std::filesystem::path self = info.dli_fname != nullptr ? info.dli_fname : "";
  return std::filesystem::absolute(self).parent_path() / "liblonggen_cuda.so";
}

std::string load() {
  if (!missing_gpu().empty()) return missing_gpu();
  const std::filesystem::path plugin = plugin_path();
  if (!std::filesystem::exists(plugin)) {
    return "the GPU plug-in is missing: expected " + plugin.string() +
           ". Run scripts/setup.sh --cuda, which installs the compiler for it, and build again.";
  }
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    return "libtorch's CUDA part cannot be loaded: " + last_error() +
           ". Install it with scripts/setup.sh --cuda, or name its folder in LD_LIBRARY_PATH.";
  }
  if (dlopen(plugin.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    return "the GPU plug-in cannot be loaded: " + last_error() + ".";
  }
  return "";
}

}  // namespace

const std::string& missing_gpu() {
  static const std::string missing = find_gpu();
  return missing;
}

const std::string& load_gpu_plugin() {
  static const std::string missing = load();
  return missing;
}

}  // namespace longgen
