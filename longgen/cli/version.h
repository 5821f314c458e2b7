// cli/version.h: what --version says.
#pragma once

#include <string>

namespace longgen {

/// Returns name and version, which attention kernels this processor gets, and which GPU --device
/// cuda uses or why it uses none: a line each.
std::string version_text();

}  // namespace longgen
