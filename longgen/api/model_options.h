// api/model_options.h: on which device, in which precision and with how many threads a model runs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace longgen {

struct ModelOptions {
  std::string device = "cpu";  ///< cpu, cuda or cuda:N
  std::string dtype = "auto";  ///< auto, float32 or bfloat16
  int64_t threads = 0;         ///< 0: one per core

  /// Gives float32 or bfloat16. auto is bfloat16 on a GPU and on a processor that is faster with it
  /// (bfloat16_is_faster() in base/cpu_features.h), else float32.
  std::string compute_dtype() const;
  /// Throws Error unless each field has one of its values.
  void check() const;
};

/// The number of the GPU that a device's name says, counted from 0: cuda is the first. None for
/// cpu, and for what names no device.
std::optional<int> gpu_index(const std::string& device);

}  // namespace longgen
