// tests/gpu/gpu_test.h: tests that need a GPU. Without one each is skipped, with the reason.
#pragma once

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include "longgen/attention/gpu_plugin.h"

namespace longgen {

inline const at::Device kGpu = {at::kCUDA, 0};

class GpuTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string& missing = load_gpu_plugin();
    if (!missing.empty()) GTEST_SKIP() << missing;
  }
};

inline at::Tensor on_gpu(const at::Tensor& x) { return x.to(kGpu); }

}  // namespace longgen
