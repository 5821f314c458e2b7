// safetensors_fuzz.cpp: bytes as a safetensors file and as a shard index. In a file that opens, the
// tensors must tile the data: their sizes follow from their shapes and add up to what is there.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "longgen/base/check.h"
#include "longgen/checkpoint/safetensors.h"

namespace longgen {
namespace {

void check_tensors(const SafetensorsFile& file, std::string_view bytes) {
  const char* at = file.tensors().empty() ? nullptr : file.tensors().front().bytes.data();
  for (const TensorEntry& entry : file.tensors()) {
    const int64_t expected = count_bytes(entry.shape, dtype_bytes(entry.dtype), entry.name);
    const bool good = entry.bytes.data() == at && file.find(entry.name) == &entry &&
                      static_cast<int64_t>(entry.bytes.size()) == expected;
    if (!good) std::abort();
    at += entry.bytes.size();
  }
  if (at != nullptr && at != bytes.data() + bytes.size()) std::abort();
}

}  // namespace
}  // namespace longgen

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  try {
    longgen::check_tensors(longgen::SafetensorsFile(bytes, "fuzz.safetensors"), bytes);
  } catch (const longgen::Error&) {
    // What a bad file is answered with.
  }
  try {
    if (longgen::parse_safetensors_index(bytes, "fuzz.index.json").empty()) std::abort();
  } catch (const longgen::Error&) {
  }
  return 0;
}
