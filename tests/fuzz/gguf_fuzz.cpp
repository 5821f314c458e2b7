// gguf_fuzz.cpp: bytes as a GGUF file. What opens must give every value and tensor that it lists,
// and expand every tensor of a type that we know, without a step outside the bytes.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/checkpoint/dequantize.h"
#include "longgen/checkpoint/gguf.h"

namespace longgen {
namespace {

/// A wrong type is answered with Error; nothing else may happen.
template <typename Read>
void attempt(Read&& read) {
  try {
    read();
  } catch (const Error&) {
  }
}

void read_values(const GgufFile& file) {
  constexpr double kLargest = std::numeric_limits<double>::max();
  for (const auto& [name, unused] : file.values()) {
    const std::string& key = name;
    attempt([&] { file.string(key); });
    attempt([&] { file.integer(key, 0, 1000); });
    attempt([&] { file.number(key, -kLargest, kLargest); });
    attempt([&] { file.boolean(key); });
    attempt([&] { file.strings(key); });
    attempt([&] { file.floats(key); });
    attempt([&] { file.integers(key); });
  }
}

void read_tensors(const GgufFile& file) {
  for (const GgufFile::Tensor& tensor : file.tensors()) {
    if (file.find(tensor.name) != &tensor) std::abort();
    if (!can_dequantize(tensor.type)) continue;
    std::vector<float> floats(static_cast<size_t>(tensor.num_elements()));
    dequantize(tensor.type, tensor.bytes, floats);  // what opened must expand: no Error here
  }
}

}  // namespace
}  // namespace longgen

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  longgen::attempt([&] {
    const longgen::GgufFile file({reinterpret_cast<const char*>(data), size}, "fuzz.gguf");
    try {
      longgen::read_values(file);
      longgen::read_tensors(file);
    } catch (const longgen::Error&) {
      std::abort();
    }
  });
  return 0;
}
