// What is said where the GPU plug-in cannot be used; no GPU is needed.
#include "longgen/device/gpu_plugin.h"

#include <gtest/gtest.h>

#include <fstream>

#include "longgen/device/gpu_memory.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

std::string another_build(const std::string& file) {
  return "the GPU plug-in belongs to another build: " + file +
         " does not have the functions that this program calls. Build both again.";
}

TEST(GpuPlugin, AnotherBuildIsRefused) {
  const OpenedPlugin opened = open_gpu_plugin(PLUGIN_OF_ANOTHER_BUILD);
  EXPECT_EQ(opened.backend, nullptr);
  EXPECT_EQ(opened.fault, another_build(PLUGIN_OF_ANOTHER_BUILD));
}

TEST(GpuPlugin, ALibraryWithoutABackendIsRefused) {
  const OpenedPlugin opened = open_gpu_plugin(NO_PLUGIN);
  EXPECT_EQ(opened.backend, nullptr);
  EXPECT_EQ(opened.fault, another_build(NO_PLUGIN));
}

TEST(GpuPlugin, WhatIsNoLibraryIsRefused) {
  EXPECT_TRUE(contains(open_gpu_plugin("/nowhere/plugin.so").fault,
                       "the GPU plug-in cannot be loaded: /nowhere/plugin.so: "));
  const std::string text = ::testing::TempDir() + "/text.so";
  std::ofstream(text) << "no library\n";
  EXPECT_TRUE(contains(open_gpu_plugin(text).fault, "the GPU plug-in cannot be loaded: " + text));
}

TEST(GpuPlugin, WithoutItThereIsNoBackendAndNoMemory) {
  EXPECT_EQ(find_gpu_backend(), nullptr);
  EXPECT_EQ(num_gpus(), 0);
  EXPECT_EQ(error_of([] { gpu_backend(); }),
            "[gpu] this needs the GPU plug-in, which is not loaded. Call load_gpu_plugin() first.");
  EXPECT_EQ(gpu_memory(nth_gpu(0)).total, 0);
  EXPECT_EQ(gpu_memory(c10::kCPU).total, 0);
  reset_gpu_peaks(nth_gpu(0));
}

TEST(GpuPlugin, NumbersOfGpusAreCountedFromZero) {
  EXPECT_EQ(nth_gpu(3), c10::Device(c10::kCUDA, 3));
  EXPECT_EQ(missing_gpu_number(0, 1), "");
  EXPECT_EQ(missing_gpu_number(7, 8), "");
  EXPECT_EQ(missing_gpu_number(8, 8),
            "there is no GPU 8: the NVIDIA driver offers this process 8, counted from 0 (see "
            "nvidia-smi and CUDA_VISIBLE_DEVICES).");
  EXPECT_EQ(missing_gpu_number(0, 0),
            "the NVIDIA driver offers this process no GPU (see nvidia-smi and "
            "CUDA_VISIBLE_DEVICES).");
}

}  // namespace
}  // namespace longgen
