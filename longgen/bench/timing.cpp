#include "longgen/bench/timing.h"

#include <ATen/ops/sum.h>
#include <ATen/ops/zeros.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <chrono>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int64_t kFlushBytes = int64_t{256} << 20;

double gpu_milliseconds(at::Device device, const std::function<void()>& work) {
  const c10::Stream stream = c10::impl::VirtualGuardImpl(c10::kCUDA).getStream(device);
  c10::Event begin(c10::kCUDA, c10::EventFlag::BACKEND_DEFAULT),
      end(c10::kCUDA, c10::EventFlag::BACKEND_DEFAULT);
  begin.record(stream);
  work();
  end.record(stream);
  end.synchronize();
  return begin.elapsedTime(end);
}

}  // namespace

double median(std::vector<double> values) {
  LG_DCHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

void synchronize(at::Device device) {
  if (device.is_cuda()) c10::impl::VirtualGuardImpl(c10::kCUDA).synchronizeDevice(device.index());
}

double seconds_of(at::Device device, const std::function<void()>& work) {
  synchronize(device);
  const auto start = std::chrono::steady_clock::now();
  work();
  synchronize(device);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Timer::Timer(at::Device device, int64_t repeats) : device_(device), repeats_(repeats) {
  LG_CHECK(repeats >= 1, "[timer] expected at least 1 measurement, found ", repeats, ".");
  if (device.is_cuda()) {
    flush_ = at::zeros({kFlushBytes / 4}, at::TensorOptions(device).dtype(at::kInt));
  }
}

double Timer::milliseconds(const std::function<void()>& work,
                           const std::function<void()>& prepare) {
  if (device_.is_cuda()) flush_.sum();
  prepare();
  return device_.is_cuda() ? gpu_milliseconds(device_, work) : 1e3 * seconds_of(device_, work);
}

Timing Timer::time(const std::function<void()>& work, const std::function<void()>& prepare) {
  prepare();
  work();
  std::vector<double> times;
  for (int64_t i = 0; i < repeats_; ++i) times.push_back(milliseconds(work, prepare));
  const auto [fastest, slowest] = std::minmax_element(times.begin(), times.end());
  return {median(times), *fastest, *slowest};
}

}  // namespace longgen
