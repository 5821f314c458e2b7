#include "longgen/bench/machine.h"

#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/randn.h>

#include "longgen/base/check.h"
#include "longgen/bench/timing.h"
#include "longgen/device/gpu_backend.h"

namespace longgen {

std::string device_title(at::Device device) {
  return device.is_cuda() ? gpu_backend().properties(device).name
                          : detail::concat("CPU, ", at::get_num_threads(), " threads");
}

double gemm_rate(at::Device device, at::ScalarType dtype) {
  const at::NoGradGuard no_grad;
  const int64_t size = device.is_cuda() ? 8192 : 2048;
  // Random numbers: a GPU multiplies zeros with less power, and so faster.
  const at::TensorOptions options = at::TensorOptions(device).dtype(dtype);
  const at::Tensor a = at::randn({size, size}, options), b = at::randn({size, size}, options);
  at::Tensor product = at::empty_like(a);
  Timer timer(device, device.is_cuda() ? 20 : 5);
  const double ms = timer.time([&] { at::mm_out(product, a, b); }).median_ms;
  const auto n = static_cast<double>(size);
  return 2 * n * n * n / ms * 1e3;
}

double copy_rate(at::Device device) {
  const int64_t bytes = device.is_cuda() ? int64_t{2} << 30 : int64_t{256} << 20;
  const at::Tensor from = at::ones({bytes}, at::TensorOptions(device).dtype(at::kByte));
  const at::Tensor to = at::empty_like(from);
  Timer timer(device, device.is_cuda() ? 10 : 5);
  return 2 * static_cast<double>(bytes) / timer.time([&] { to.copy_(from); }).median_ms * 1e3;
}

double shortest_call_ms(at::Device device) {
  const at::Tensor one = at::ones({1}, at::TensorOptions(device));
  return Timer(device, 20).time([&] { one.zero_(); }).median_ms;
}

}  // namespace longgen
