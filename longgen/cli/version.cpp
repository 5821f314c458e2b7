#include "longgen/cli/version.h"

#include "longgen/api/load.h"
#include "longgen/attention/cpu/tile_kernels.h"
#include "longgen/device/gpu_plugin.h"

namespace longgen {
namespace {

std::string gpu_text() {
  const std::string missing = missing_for_gpu();
  return missing.empty() ? gpu_backend().properties(nth_gpu(0)).name : "none, " + missing;
}

}  // namespace

std::string version_text() {
  return std::string("longgen " LONGGEN_VERSION "\nattention kernels: ") +
         cpu::tile_kernels().instruction_set + "\nGPU: " + gpu_text();
}

}  // namespace longgen
