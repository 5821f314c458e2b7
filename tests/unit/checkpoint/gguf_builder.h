// GGUF files put together field by field, right or wrong.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/checkpoint/gguf.h"
#include "raw_bytes.h"

namespace longgen {

inline std::string gguf_string(const std::string& text) {
  return raw(static_cast<uint64_t>(text.size())) + text;
}

inline std::string gguf_array(GgufValueType element_type, uint64_t count,
                              const std::string& elements) {
  return raw(element_type) + raw(count) + elements;
}

struct GgufBuilder {
  std::string magic = "GGUF";
  uint32_t version = 3;
  uint64_t num_tensors = 0, num_keys = 0;
  std::string keys, tensors;

  GgufBuilder& key(const std::string& name, GgufValueType type, const std::string& value) {
    keys += gguf_string(name) + raw(type) + value;
    ++num_keys;
    return *this;
  }

  /// Adds a tensor whose dims stand innermost first, as the format has them.
  GgufBuilder& tensor(const std::string& name, const std::vector<uint64_t>& dims, GgmlType type,
                      uint64_t offset) {
    tensors += gguf_string(name) + raw(static_cast<uint32_t>(dims.size()));
    for (const uint64_t dim : dims) tensors += raw(dim);
    tensors += raw(type) + raw(offset);
    ++num_tensors;
    return *this;
  }

  std::string header() const {
    return magic + raw(version) + raw(num_tensors) + raw(num_keys) + keys + tensors;
  }

  /// Returns the file: header, padding up to the alignment, data.
  std::string file(const std::string& data = "", size_t alignment = 32) const {
    std::string bytes = header();
    bytes.append((alignment - bytes.size() % alignment) % alignment, '\0');
    return bytes + data;
  }
};

}  // namespace longgen
