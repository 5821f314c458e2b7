// cli/version.h: what --version says.
#pragma once

#include <string>

namespace longgen {

/// Name and version, and on a second line which attention kernels this processor gets.
std::string version_text();

}  // namespace longgen
