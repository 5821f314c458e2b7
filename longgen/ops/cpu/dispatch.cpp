#include "longgen/base/cpu_features.h"
#include "longgen/ops/cpu/row_kernels.h"

namespace longgen::cpu {

LG_DEFINE_SUPPORTED_KERNELS(supported_row_kernels, RowKernels, kRowKernels)

const RowKernels& row_kernels() {
  static const RowKernels& chosen = *supported_row_kernels().front();
  return chosen;
}

}  // namespace longgen::cpu
