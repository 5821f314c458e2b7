#include "longgen/base/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace longgen {
namespace {

#if defined(__x86_64__)
/// Whether the processor multiplies tiles of bfloat16 (AMX) and the operating system keeps the
/// tiles' registers. The bits are those of Intel's manual: clang 14 has no name for the feature.
bool has_amx_bf16() {
  constexpr unsigned kAmxBf16 = 1U << 22, kOsXsave = 1U << 27, kTileState = 3U << 17;
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0 || (edx & kAmxBf16) == 0) return false;
  if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0 || (ecx & kOsXsave) == 0) return false;
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (low & kTileState) == kTileState;
}
#endif

}  // namespace

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

bool multiplies_bfloat16() {
#if defined(__x86_64__)
  // Asked once: in a virtual machine each question to the processor costs microseconds.
  static const bool found = [] {
    __builtin_cpu_init();
    return machine_runs(InstructionSet::avx512) &&
           (has_amx_bf16() || (__builtin_cpu_is("amd") && __builtin_cpu_supports("avx512bf16")));
  }();
  return found;
#else
  return false;
#endif
}

bool bfloat16_is_faster() { return multiplies_bfloat16() || machine_runs(InstructionSet::avx2); }

}  // namespace longgen
