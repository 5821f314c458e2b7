// cli/version.h: what --version says.
#pragma once

#include <string>

namespace longgen {

/// Name and version, which attention kernels this processor gets, and which GPU is used by --device
/// cuda or why none is: a line each.
std::string version_text();

}  // namespace longgen
