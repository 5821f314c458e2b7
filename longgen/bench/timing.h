// bench/timing.h: how the benchmarks measure time, on the CPU and on a GPU.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace longgen {

struct Timing {
  double median_ms = 0, fastest_ms = 0, slowest_ms = 0;
};

/// The median of at least one value.
double median(std::vector<double> values);

/// Waits until the device has done what it was given.
void synchronize(at::Device device);

/// How many seconds the work takes on the device, by the clock on the wall.
double seconds_of(at::Device device, const std::function<void()>& work);

/// Times short work again and again, after one call that warms up. On a GPU between two events,
/// with a second level cache that holds other data, as a model's weights leave it: 256 MiB are read
/// before each call, which also keeps the GPU busy while the call is made.
class Timer {
 public:
  Timer(at::Device device, int64_t repeats);
  /// `prepare` comes before each call, after the cache was filled, and is not timed.
  Timing time(
      const std::function<void()>& work, const std::function<void()>& prepare = [] {});

 private:
  double milliseconds(const std::function<void()>& work, const std::function<void()>& prepare);

  at::Device device_;
  int64_t repeats_;
  at::Tensor flush_;
};

}  // namespace longgen
