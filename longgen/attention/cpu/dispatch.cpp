#include "longgen/attention/cpu/tile_kernels.h"
#include "longgen/base/cpu_features.h"

namespace longgen::cpu {

LG_DEFINE_SUPPORTED_KERNELS(supported_tile_kernels, TileKernels, kKernels)

const TileKernels& tile_kernels() {
  static const TileKernels& chosen = *supported_tile_kernels().front();
  return chosen;
}

}  // namespace longgen::cpu
