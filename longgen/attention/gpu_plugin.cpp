#include "longgen/attention/gpu_plugin.h"

#include <dlfcn.h>

#include <filesystem>

namespace longgen {
namespace {

std::string last_error() {
  const char* const error = dlerror();
  return error != nullptr ? error : "no reason given";
}

/// The plug-in lies beside the library that this function is in (liblonggen_ops.so).
std::filesystem::path plugin_path() {
  Dl_info info = {};
  dladdr(reinterpret_cast<const void*>(&load_gpu_plugin), &info);
  const std::filesystem::path self = info.dli_fname != nullptr ? info.dli_fname : "";
  return std::filesystem::absolute(self).parent_path() / "liblonggen_cuda.so";
}

std::string load() {
  if (dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    return "this machine has no NVIDIA driver (" + last_error() + ").";
  }
  const std::filesystem::path plugin = plugin_path();
  if (!std::filesystem::exists(plugin)) {
    return "the GPU plug-in is missing: expected " + plugin.string() +
           ". Build with the CUDA toolkit 13.0 installed (nvcc on PATH).";
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

const std::string& load_gpu_plugin() {
  static const std::string missing = load();
  return missing;
}

}  // namespace longgen
