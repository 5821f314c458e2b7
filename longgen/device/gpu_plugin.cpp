#include "longgen/device/gpu_plugin.h"

#include <c10/core/impl/VirtualGuardImpl.h>
#include <dlfcn.h>
#include <link.h>

#include <atomic>

#include "longgen/base/check.h"

namespace longgen {
namespace {

namespace fs = std::filesystem;

/// Written once, when the plug-in has been loaded.
std::atomic<const GpuBackend*> loaded_backend = nullptr;

std::string last_error() {
  const char* const error = dlerror();
  return error != nullptr ? error : "no reason given";
}

constexpr const char* kNoGpu =
    "the NVIDIA driver offers this process no GPU (see nvidia-smi and CUDA_VISIBLE_DEVICES).";

/// The one state of the driver that means that there is no GPU: CUDA_ERROR_NO_DEVICE.
constexpr int kNoDevice = 100;

std::string find_gpu() {
  void* const driver = dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL);
  if (driver == nullptr) return "this machine has no NVIDIA driver (" + last_error() + ").";
  const auto init = reinterpret_cast<int (*)(unsigned)>(dlsym(driver, "cuInit"));
  // Every other failure is one of a machine with a GPU, which torch will name.
  if (init == nullptr || init(0) != kNoDevice) return "";
  return kNoGpu;
}

std::string load() {
  if (!missing_gpu().empty()) return missing_gpu();
  const fs::path plugin = gpu_plugin_file();
  if (!fs::exists(plugin)) {
    return "the GPU plug-in is missing: expected " + plugin.string() +
           ". Run scripts/setup.sh --cuda, which installs the compiler for it, and build again.";
  }
  if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
    return "libtorch's CUDA part cannot be loaded: " + last_error() +
           ". Install it with scripts/setup.sh --cuda, or name its folder in LD_LIBRARY_PATH.";
  }
  const OpenedPlugin opened = open_gpu_plugin(plugin);
  loaded_backend = opened.backend;
  return opened.fault;
}

}  // namespace

const std::string& missing_gpu() {
  static const std::string missing = find_gpu();
  return missing;
}

fs::path gpu_plugin_file() {
  constexpr const char* kPlugin = "liblonggen_cuda.so";
  void* const ops = dlopen("liblonggen_ops.so", RTLD_NOW | RTLD_NOLOAD);
  link_map* map = nullptr;
  if (ops == nullptr || dlinfo(ops, RTLD_DI_LINKMAP, &map) != 0) {
    return fs::read_symlink("/proc/self/exe").parent_path() / kPlugin;
  }
  return fs::absolute(map->l_name).parent_path() / kPlugin;
}

const std::string& load_gpu_plugin() {
  static const std::string missing = load();
  return missing;
}

OpenedPlugin open_gpu_plugin(const fs::path& file) {
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    return {nullptr, "the GPU plug-in cannot be loaded: " + last_error() + "."};
  }
  const auto function = reinterpret_cast<GpuBackendFunction*>(dlsym(library, kGpuBackendFunction));
  const GpuBackend* const backend = function != nullptr ? function(GpuBackend::kVersion) : nullptr;
  if (backend == nullptr) {
    return {nullptr, "the GPU plug-in belongs to another build: " + file.string() +
                         " does not have the functions that this program calls. Build both again."};
  }
  return {backend, ""};
}

int num_gpus() {
  return find_gpu_backend() != nullptr ? c10::impl::VirtualGuardImpl(c10::kCUDA).deviceCount() : 0;
}

std::string missing_gpu_number(int index, int count) {
  if (count == 0) return kNoGpu;
  if (index < count) return "";
  return detail::concat("there is no GPU ", index, ": the NVIDIA driver offers this process ",
                        count, ", counted from 0 (see nvidia-smi and CUDA_VISIBLE_DEVICES).");
}

const GpuBackend* find_gpu_backend() { return loaded_backend; }

const GpuBackend& gpu_backend() {
  const GpuBackend* const backend = find_gpu_backend();
  LG_CHECK(backend != nullptr,
           "[gpu] this needs the GPU plug-in, which is not loaded. Call load_gpu_plugin() first.");
  return *backend;
}

}  // namespace longgen
