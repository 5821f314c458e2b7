#include "longgen/cli/version.h"

#include "longgen/attention/cpu/tile_kernels.h"

namespace longgen {

std::string version_text() {
  return std::string("longgen " LONGGEN_VERSION "\nattention kernels: ") +
         cpu::tile_kernels().instruction_set;
}

}  // namespace longgen
