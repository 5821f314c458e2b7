// plan/devices.h: what the planner knows of a machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/plan/number_format.h"

namespace longgen {

/// The compute capability that the GPU kernels are compiled for: H100, H200, GH200.
inline constexpr const char* kKernelCapability = "9.0";

/// A device of a machine. Rates are peaks on paper; Efficiency (plan.h) says what share is reached.
struct DeviceSpec {
  std::string name;           ///< "h200", as --device takes it
  std::string title;          ///< "NVIDIA H200 SXM, 141 GB HBM3e"
  int64_t memory_bytes = 0;   ///< what a program sees; set it for another machine (--memory-bytes)
  double bfloat16_flops = 0;  ///< per second, dense, fp32 accumulation
  double float32_flops = 0;   ///< per second, without TF32, which rounds
  double bytes_per_second = 0;
  std::string source;            ///< where the numbers are from
  std::string driver_name = "";  ///< stands in the name that drivers give the card; may be empty
  std::string compute_capability = "";  ///< of an NVIDIA GPU
  /// What a decoding step takes of a layer beside the time of what it reads: each of its kernels
  /// starts when the one before has ended, and waits for its first bytes. It was measured; 0 where
  /// it was not.
  double step_seconds_per_layer = 0;

  /// Whether it is the CPU, which has everything in one memory: program, libraries and model.
  bool is_cpu() const { return name == "cpu"; }
  double flops(NumberFormat format) const {
    return format == NumberFormat::float32 ? float32_flops : bfloat16_flops;
  }
  /// Whether `--device cuda` refuses it, as a GPU that longgen's kernels are not made for.
  bool is_refused_gpu() const {
    return !compute_capability.empty() && compute_capability != kKernelCapability;
  }
  bool operator==(const DeviceSpec&) const = default;
};

const std::vector<DeviceSpec>& known_devices();

/// Gives the device of this name. Throws Error listing the names on any other.
DeviceSpec find_device(const std::string& name);

/// Gives the device that a driver calls `title`, such as "NVIDIA H200"; nullopt if none is known.
std::optional<DeviceSpec> find_device_of_driver(const std::string& title);

}  // namespace longgen
