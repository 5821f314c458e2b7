#include "longgen/base/cpu_features.h"

namespace longgen {

bool machine_runs(InstructionSet set) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  switch (set) {
    case InstructionSet::baseline:
      return true;
    case InstructionSet::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case InstructionSet::avx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  }
  return false;
#else
  return set == InstructionSet::baseline;
#endif
}

bool bfloat16_is_faster() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  return machine_runs(InstructionSet::avx512) &&
         (__builtin_cpu_supports("amx-bf16") ||
          (__builtin_cpu_is("amd") && __builtin_cpu_supports("avx512bf16")));
#else
  return false;
#endif
}

}  // namespace longgen
