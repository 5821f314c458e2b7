#include "longgen/attention/gpu_parts.h"

#include <map>

namespace longgen {
namespace {

/// Written while the plug-in is loaded, only read afterwards.
std::map<std::string, const void*>& parts() {
  static std::map<std::string, const void*> map;
  return map;
}

}  // namespace

void register_gpu_part(const std::string& name, const void* part) { parts()[name] = part; }

const void* find_gpu_part(const std::string& name) {
  const auto found = parts().find(name);
  return found != parts().end() ? found->second : nullptr;
}

}  // namespace longgen
