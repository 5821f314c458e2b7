// tests/gpu/gpu_test.h: tests that need a GPU. Without a driver or a device each is skipped, with
// the reason; where there is a GPU, whatever keeps the plug-in from it is a failure.
#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "longgen/device/gpu_plugin.h"

namespace longgen {

inline const at::Device kGpu = nth_gpu(0);

class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!missing_gpu().empty()) GTEST_SKIP() << missing_gpu();
    ASSERT_EQ(load_gpu_plugin(), "");
  }
};

inline at::Tensor on_gpu(const at::Tensor& x) { return x.to(kGpu); }

}  // namespace longgen
