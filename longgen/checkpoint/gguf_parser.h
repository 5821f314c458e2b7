// checkpoint/gguf_parser.h: the bytes of a GGUF file taken apart. For gguf.cpp only.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/checkpoint/gguf.h"

namespace longgen {

struct GgufContents {
  std::map<std::string, GgufValue> values;
  std::vector<GgufFile::Tensor> tensors;
};

/// All checks described at GgufFile. Views point into `bytes`; nothing is allocated by a count that
/// the file's size does not bear out.
GgufContents parse_gguf(std::string_view bytes, const std::string& source);

/// Bytes of one value; 0 for strings and arrays, whose size varies.
int64_t gguf_value_bytes(GgufValueType type);
/// "uint32", "string", ...
std::string_view gguf_value_type_name(GgufValueType type);

}  // namespace longgen
