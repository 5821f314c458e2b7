#include "longgen/serve/out_of_memory.h"

#include <c10/util/Exception.h>

#include <new>
#include <string_view>

#include "longgen/device/gpu_memory.h"

namespace longgen {

std::optional<std::string> out_of_memory(const std::exception& error) {
  if (dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr) return out_of_gpu_memory();
  // torch's allocator for the CPU has no type of error of its own.
  const std::string_view text = error.what();
  if (dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
      text.find("DefaultCPUAllocator") != std::string_view::npos) {
    return "out of memory.";
  }
  return std::nullopt;
}

}  // namespace longgen
