// attention/gpu_parts.h: how the GPU plug-in offers more than ops to the program. The plug-in
// links only liblonggen_ops.so, so what it implements are abstract classes of the folders, kept
// here by name.
#pragma once

#include <string>

namespace longgen {

/// Keeps a part under a name for the whole run. The plug-in calls it while it is loaded.
void register_gpu_part(const std::string& name, const void* part);
/// Finds a part by its name; null if the plug-in is not loaded.
const void* find_gpu_part(const std::string& name);

}  // namespace longgen
