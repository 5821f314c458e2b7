// bench/machine.h: what the device is, and what it gives at best, measured in the same run.
#pragma once

#include <ATen/core/Tensor.h>

#include <string>

namespace longgen {

/// "NVIDIA H200", or "CPU, 2 threads".
std::string device_title(at::Device device);

/// How many floating-point operations a second ATen's product of square matrices does, 8,192 on a
/// GPU and 2,048 on the CPU: the median of several.
double gemm_rate(at::Device device, at::ScalarType dtype);

/// How many bytes a large copy within the device's memory reads and writes a second.
double copy_rate(at::Device device);

/// Milliseconds of a call that sets one number: no measurement of a GPU's kernel falls below it.
double shortest_call_ms(at::Device device);

}  // namespace longgen
