#include "longgen/ops/cpu/row_kernels.h"

namespace longgen::cpu {

#if defined(__x86_64__)
namespace avx512 {
extern const RowKernels kRowKernels;
}
namespace avx2 {
extern const RowKernels kRowKernels;
}
#endif
namespace baseline {
extern const RowKernels kRowKernels;
}

const std::vector<const RowKernels*>& supported_row_kernels() {
  static const std::vector<const RowKernels*> supported = [] {
    std::vector<const RowKernels*> found;
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")) {
      found.push_back(&avx512::kRowKernels);
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
      found.push_back(&avx2::kRowKernels);
    }
#endif
    found.push_back(&baseline::kRowKernels);
    return found;
  }();
  return supported;
}

const RowKernels& row_kernels() {
  static const RowKernels& chosen = *supported_row_kernels().front();
  return chosen;
}

}  // namespace longgen::cpu
