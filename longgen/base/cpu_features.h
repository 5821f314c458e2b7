// base/cpu_features.h: which instruction sets this machine runs, and the choice among kernels that
// are compiled once for each (longgen_isa_kernels() in cmake/isa.cmake).
#pragma once

#include <vector>

namespace longgen {

enum class InstructionSet { baseline, avx2, avx512 };

/// Does this machine run what is compiled for it? Baseline always.
bool machine_runs(InstructionSet set);

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

/// Defines function(): the kernels that this machine runs, fastest first. Each instruction set has
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
