#include "longgen/checkpoint/tensor_entry.h"

#include <array>

#include "longgen/base/check.h"

namespace longgen {
namespace {

struct DTypeInfo {
  DType dtype;
  std::string_view name;
  int64_t bytes;
};

constexpr std::array kDTypes = {
    DTypeInfo{DType::f32, "F32", 4},   DTypeInfo{DType::f16, "F16", 2},
    DTypeInfo{DType::bf16, "BF16", 2}, DTypeInfo{DType::f64, "F64", 8},
    DTypeInfo{DType::i64, "I64", 8},   DTypeInfo{DType::i32, "I32", 4},
    DTypeInfo{DType::i16, "I16", 2},   DTypeInfo{DType::i8, "I8", 1},
    DTypeInfo{DType::u8, "U8", 1},     DTypeInfo{DType::bool8, "BOOL", 1},
};

const DTypeInfo& info_of(DType dtype) {
  for (const DTypeInfo& info : kDTypes) {
    if (info.dtype == dtype) return info;
  }
  LG_FAIL("[longgen] internal error: ", static_cast<int>(dtype), " is no DType.");
}

}  // namespace

std::string_view dtype_name(DType dtype) { return info_of(dtype).name; }

int64_t dtype_bytes(DType dtype) { return info_of(dtype).bytes; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const DTypeInfo& info : kDTypes) {
    if (info.name == name) return info.dtype;
  }
  return std::nullopt;
}

std::string dtype_list() {
  std::string list;
  for (const DTypeInfo& info : kDTypes) {
    list += list.empty() ? "" : ", ";
    list += info.name;
  }
  return list;
}

int64_t count_elements(const std::vector<int64_t>& shape, const std::string& where) {
  int64_t count = 1;
  for (const int64_t dim : shape) {
    LG_CHECK(dim >= 0, where, ": shape ", format_shape(shape), " has a negative dimension.");
    LG_CHECK(!__builtin_mul_overflow(count, dim, &count), where, ": shape ", format_shape(shape),
             " has more elements than 63 bits can count.");
  }
  return count;
}

int64_t count_bytes(const std::vector<int64_t>& shape, int64_t bytes_per_element,
                    const std::string& where) {
  int64_t bytes = 0;
  LG_CHECK(!__builtin_mul_overflow(count_elements(shape, where), bytes_per_element, &bytes), where,
           ": shape ", format_shape(shape), " has more bytes than 63 bits can count.");
  return bytes;
}

std::string format_shape(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (const int64_t dim : shape) {
    if (text.size() > 1) text += ", ";
    text += std::to_string(dim);
  }
  return text + ")";
}

std::string printable(std::string_view name) {
  static constexpr size_t kMaxShown = 80;
  static constexpr char kHex[] = "0123456789abcdef";
  std::string text;
  for (const char c : name.substr(0, kMaxShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      text += c;
    } else {
      text += {'\\', 'x', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return name.size() > kMaxShown ? text + "..." : text;
}

}  // namespace longgen
