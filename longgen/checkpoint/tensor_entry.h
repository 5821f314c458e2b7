// checkpoint/tensor_entry.h: one named tensor as it lies in a mapped file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace longgen {

/// The element types of safetensors that longgen reads and writes. The 8-bit floats, unsigned types
/// above 8 bits and complex numbers of the format are refused: no supported model has them.
enum class DType { f32, f16, bf16, f64, i64, i32, i16, i8, u8, bool8 };

/// The name in a safetensors header: "F32", "BF16", "BOOL", ...
std::string_view dtype_name(DType dtype);
/// Gives nullopt for a name that is not one of ours.
std::optional<DType> dtype_from_name(std::string_view name);
/// Bytes of one element.
int64_t dtype_bytes(DType dtype);
/// "F32, F16, BF16, ...", for messages.
std::string dtype_list();

/// The product of the dimensions (1 for a scalar). Throws Error starting with `where` when one is
/// negative or the product exceeds 63 bits.
int64_t count_elements(const std::vector<int64_t>& shape, const std::string& where);

/// Gives count_elements times bytes_per_element, with the same checks.
int64_t count_bytes(const std::vector<int64_t>& shape, int64_t bytes_per_element,
                    const std::string& where);

/// "(4096, 32)", "()" for a scalar.
std::string format_shape(const std::vector<int64_t>& shape);

/// Makes a name from a file fit for a message: control characters and non-ASCII bytes as \xNN, at
/// most 80 characters in all.
std::string printable(std::string_view name);

struct TensorEntry {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;  ///< outermost first
  /// Row-major, little-endian, exactly num_elements() * dtype_bytes(dtype). Points into the file's
  /// mapping and is as aligned as the file made it: copy elements out with memcpy.
  std::string_view bytes;

  int64_t num_elements() const { return static_cast<int64_t>(bytes.size()) / dtype_bytes(dtype); }
};

}  // namespace longgen
