// base/cpu_features.h: which instruction sets this machine runs, and the choice among kernels that
// are compiled once for each (longgen_isa_kernels() in cmake/isa.cmake).
#pragma once

#include <vector>

namespace longgen {

enum class InstructionSet { baseline, avx2, avx512 };

/// Whether this machine runs what is compiled for `set`. It always runs the baseline.
bool machine_runs(InstructionSet set);

/// Whether oneDNN, which multiplies matrices for ATen, is faster with bfloat16 than with float32.
/// It is with AMX, and on AMD's processors with AVX512_BF16. It is not with AVX512_BF16 alone on
/// Intel's, whose VDPBF16PS has half the FLOP rate of float32 (190 against 320 GFLOP/s on two cores
/// of an Emerald Rapids whose AMX the hypervisor hides), nor where it has to widen bfloat16 first.
bool multiplies_bfloat16();

/// Whether a model runs faster in bfloat16 than in float32: where the above is true, and where our
/// kernels for few rows of x read weights at the speed of memory, of which bfloat16 takes half
/// (AVX2). Products of many rows are made in float32 there, at the speed of float32 (ops/linear.h).
bool bfloat16_is_faster();

}  // namespace longgen

#if defined(__x86_64__)
#define LG_FOR_EACH_ISA(X, ...) X(avx512, __VA_ARGS__) X(avx2, __VA_ARGS__) X(baseline, __VA_ARGS__)
#else
#define LG_FOR_EACH_ISA(X, ...) X(baseline, __VA_ARGS__)
#endif

#define LG_DECLARE_ISA_KERNELS(isa, Kernels, object) \
  namespace isa {                                    \
  extern const Kernels object;                       \
  }
#define LG_ADD_ISA_KERNELS(isa, object) \
  if (::longgen::machine_runs(::longgen::InstructionSet::isa)) found.push_back(&isa::object);

/// Defines function(), which gives this machine's kernels, fastest first. Each instruction set has
/// `const Kernels object` in a namespace of its name, inside the one where this stands.
#define LG_DEFINE_SUPPORTED_KERNELS(function, Kernels, object)  \
  LG_FOR_EACH_ISA(LG_DECLARE_ISA_KERNELS, Kernels, object)      \
  const std::vector<const Kernels*>& function() {               \
    static const std::vector<const Kernels*> supported = [] {   \
      std::vector<const Kernels*> found;                        \
      LG_FOR_EACH_ISA(LG_ADD_ISA_KERNELS, object) return found; \
    }();                                                        \
    return supported;                                           \
  }
