#include "longgen/attention/cpu/tile_kernels.h"

namespace longgen::cpu {

#if defined(__x86_64__)
namespace avx512 {
extern const TileKernels kKernels;
}
namespace avx2 {
extern const TileKernels kKernels;
}
#endif
namespace baseline {
extern const TileKernels kKernels;
}

const TileKernels& tile_kernels() {
#if defined(__x86_64__)
  static const TileKernels& chosen = [&]() -> const TileKernels& {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      return avx512::kKernels;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return avx2::kKernels;
    return baseline::kKernels;
  }();
  return chosen;
#else
  return baseline::kKernels;
#endif
}

}  // namespace longgen::cpu
