// checkpoint/gguf.h: reading GGUF files (versions 2 and 3, little-endian).
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/checkpoint/ggml_type.h"

namespace longgen {

/// The value types of GGUF metadata, numbers as in files.
enum class GgufValueType : uint32_t {
  u8 = 0,
  i8 = 1,
  u16 = 2,
  i16 = 3,
  u32 = 4,
  i32 = 5,
  f32 = 6,
  boolean = 7,
  string = 8,
  array = 9,
  u64 = 10,
  i64 = 11,
  f64 = 12,
};

/// One metadata value, checked but not decoded: views into the file.
struct GgufValue {
  GgufValueType type = GgufValueType::u8;
  GgufValueType element_type = GgufValueType::u8;  ///< of an array
  int64_t count = 1;                               ///< elements of an array
  std::string_view bytes;  ///< the value; of an array its elements, strings with their lengths
};

/// One GGUF file, mapped. Everything is checked on opening: counts, lengths and ranges against the
/// file's size, names for duplicates, tensor data for overlap. Throws Error naming the file, the
/// key or tensor, what was expected and what was found.
class GgufFile {
 public:
  struct Tensor {
    std::string name;
    GgmlType type = GgmlType::f32;
    std::vector<int64_t> shape;  ///< outermost first, as in PyTorch: GGUF's dimensions reversed
    std::string_view bytes;      ///< whole blocks, row-major; unaligned

    int64_t num_elements() const;
  };

  explicit GgufFile(const fs::path& path);
  /// Reads `bytes`, which must outlive the object. `source` names them in errors.
  GgufFile(std::string_view bytes, std::string source);

  // Metadata. Missing keys and wrong types throw Error naming file, key, expected and found; the
  // forms with a fallback return it when the key is missing (never when its type is wrong).
  bool has(const std::string& key) const { return values_.contains(key); }
  std::string string(const std::string& key) const;
  std::string string(const std::string& key, const std::string& fallback) const;
  /// Reads a value of any integer type that lies within [low, high].
  int64_t integer(const std::string& key, int64_t low, int64_t high) const;
  int64_t integer(const std::string& key, int64_t low, int64_t high, int64_t fallback) const;
  /// Reads a value of any float or integer type that is finite and lies within [low, high].
  double number(const std::string& key, double low, double high) const;
  double number(const std::string& key, double low, double high, double fallback) const;
  bool boolean(const std::string& key) const;
  bool boolean(const std::string& key, bool fallback) const;
  std::vector<std::string> strings(const std::string& key) const;
  std::vector<float> floats(const std::string& key) const;
  std::vector<int64_t> integers(const std::string& key,
                                int64_t low = std::numeric_limits<int64_t>::min(),
                                int64_t high = std::numeric_limits<int64_t>::max()) const;
  /// "model.gguf: key llama.block_count", for messages of one's own.
  std::string where(const std::string& key) const;
  const std::map<std::string, GgufValue>& values() const { return values_; }

  /// The tensors stand in the order of the file's list.
  const std::vector<Tensor>& tensors() const { return tensors_; }
  /// Gives nullptr when there is no tensor of this name.
  const Tensor* find(const std::string& name) const;
  const std::string& source() const { return source_; }

 private:
  void parse(std::string_view bytes);
  const GgufValue& value(const std::string& key) const;
  [[noreturn]] void wrong(const std::string& key, const std::string& expected) const;

  std::unique_ptr<MappedFile> file_;
  std::string source_;
  std::map<std::string, GgufValue> values_;
  std::vector<Tensor> tensors_;
  std::unordered_map<std::string, size_t> by_name_;
};

}  // namespace longgen
