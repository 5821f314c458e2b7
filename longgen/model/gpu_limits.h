// model/gpu_limits.h: which models the kernels for GPUs run.
#pragma once

#include <c10/core/Device.h>

#include "longgen/model/config.h"

namespace longgen {

/// Throws Error where the device is a GPU and its kernels lack something of the model; the message
/// lists what.
void check_runs_on(at::Device device, const ModelConfig& config);

}  // namespace longgen
