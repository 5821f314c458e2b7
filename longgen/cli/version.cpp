#include "longgen/cli/version.h"

#if LONGGEN_HAS_TORCH
#include "longgen/attention/cpu/tile_kernels.h"
#endif

namespace longgen {

std::string version_text() {
  std::string text = "longgen " LONGGEN_VERSION "\n";
#if LONGGEN_HAS_TORCH
  text += std::string("attention kernels: ") + cpu::tile_kernels().instruction_set;
#else
  text += "built without libtorch: data commands only";
#endif
  return text;
}

}  // namespace longgen
