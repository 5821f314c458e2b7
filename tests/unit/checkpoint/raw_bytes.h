// Files put together by hand, for the tests and the fuzzers' seeds.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>

namespace longgen {

/// Returns a value's bytes, little-endian as this machine's.
template <typename T>
std::string raw(const T& value) {
  std::string bytes(sizeof(T), '\0');
  std::memcpy(bytes.data(), &value, sizeof(T));
  return bytes;
}

/// Returns a safetensors file: the header's length, the header, the data.
inline std::string safetensors_bytes(const std::string& header, const std::string& data = "") {
  return raw(static_cast<uint64_t>(header.size())) + header + data;
}

}  // namespace longgen
