// The plug-in of this build, opened where there need not be a GPU: its table is there, and each of
// its functions is one.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "longgen/device/gpu_plugin.h"
#include "longgen/kv_cache/gpu_cache.h"
#include "longgen/ops/gpu_ops.h"

namespace longgen {
namespace {

TEST(RealPlugin, StandsBesideTheOps) { EXPECT_EQ(gpu_plugin_file(), PLUGIN); }

TEST(RealPlugin, FillsTheWholeTable) {
  ASSERT_NE(dlopen(LIBTORCH_CUDA, RTLD_NOW | RTLD_GLOBAL), nullptr) << dlerror();
  const OpenedPlugin opened = open_gpu_plugin(PLUGIN);
  ASSERT_EQ(opened.fault, "");
  // A reference is a pointer in memory: none is null, and no two functions are one.
  void* functions[sizeof(gpu::Ops) / sizeof(void*)];
  std::memcpy(functions, &opened.backend->ops, sizeof(gpu::Ops));
  for (void* const function : functions) {
    Dl_info info = {};
    ASSERT_NE(dladdr(function, &info), 0);
    EXPECT_STREQ(info.dli_fname, PLUGIN);
    EXPECT_EQ(std::count(std::begin(functions), std::end(functions), function), 1);
  }
  EXPECT_NE(dynamic_cast<const GpuCache*>(&opened.backend->cache), nullptr);
  EXPECT_EQ(find_gpu_backend(), nullptr) << "opening is not loading";
}

TEST(RealPlugin, HasNothingForAnotherVersion) {
  ASSERT_NE(dlopen(LIBTORCH_CUDA, RTLD_NOW | RTLD_GLOBAL), nullptr) << dlerror();
  void* const library = dlopen(PLUGIN, RTLD_NOW);
  ASSERT_NE(library, nullptr) << dlerror();
  const auto function = reinterpret_cast<GpuBackendFunction*>(dlsym(library, kGpuBackendFunction));
  ASSERT_NE(function, nullptr);
  EXPECT_NE(function(GpuBackend::kVersion), nullptr);
  EXPECT_EQ(function(GpuBackend::kVersion + 1), nullptr);
  EXPECT_EQ(function(GpuBackend::kVersion - 1), nullptr);
}

}  // namespace
}  // namespace longgen
