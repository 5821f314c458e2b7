#include "longgen/checkpoint/gguf.h"

#include <cmath>
#include <cstring>
#include <optional>
#include <type_traits>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/checkpoint/gguf_parser.h"
#include "longgen/checkpoint/tensor_entry.h"

namespace longgen {
namespace {

template <typename T>
T load(std::string_view bytes, size_t index) {
  T value;
  std::memcpy(&value, bytes.data() + index * sizeof(T), sizeof(T));
  return value;
}

/// Calls visit with the element at `index`; false when `type` is not a number.
template <typename Visit>
bool visit_number(GgufValueType type, std::string_view bytes, size_t index, Visit&& visit) {
  switch (type) {
    case GgufValueType::u8:
      return visit(load<uint8_t>(bytes, index)), true;
    case GgufValueType::i8:
      return visit(load<int8_t>(bytes, index)), true;
    case GgufValueType::u16:
      return visit(load<uint16_t>(bytes, index)), true;
    case GgufValueType::i16:
      return visit(load<int16_t>(bytes, index)), true;
    case GgufValueType::u32:
      return visit(load<uint32_t>(bytes, index)), true;
    case GgufValueType::i32:
      return visit(load<int32_t>(bytes, index)), true;
    case GgufValueType::u64:
      return visit(load<uint64_t>(bytes, index)), true;
    case GgufValueType::i64:
      return visit(load<int64_t>(bytes, index)), true;
    case GgufValueType::f32:
      return visit(load<float>(bytes, index)), true;
    case GgufValueType::f64:
      return visit(load<double>(bytes, index)), true;
    case GgufValueType::boolean:
    case GgufValueType::string:
    case GgufValueType::array:
      return false;
  }
  return false;
}

/// Gives nullopt when the value is no integer or needs 64 bits unsigned.
std::optional<int64_t> integer_at(GgufValueType type, std::string_view bytes, size_t index) {
  std::optional<int64_t> result;
  visit_number(type, bytes, index, [&](auto found) {
    if constexpr (std::is_integral_v<decltype(found)>) {
      if (std::in_range<int64_t>(found)) result = static_cast<int64_t>(found);
    }
  });
  return result;
}

/// What a message says was found.
std::string describe(const GgufValue& value) {
  if (value.type == GgufValueType::array) {
    return detail::concat("an array of ", value.count, " ",
                          gguf_value_type_name(value.element_type));
  }
  if (value.type == GgufValueType::string) return "the string \"" + printable(value.bytes) + "\"";
  if (value.type == GgufValueType::boolean) return value.bytes[0] != 0 ? "true" : "false";
  std::string text;
  visit_number(value.type, value.bytes, 0, [&](auto found) {
    text = detail::concat(gguf_value_type_name(value.type), " ", +found);
  });
  return text;
}

}  // namespace

int64_t GgufFile::Tensor::num_elements() const { return count_elements(shape, name); }

GgufFile::GgufFile(const fs::path& path)
    : file_(std::make_unique<MappedFile>(path)), source_(path.string()) {
  parse(file_->bytes());
}

GgufFile::GgufFile(std::string_view bytes, std::string source) : source_(std::move(source)) {
  parse(bytes);
}

void GgufFile::parse(std::string_view bytes) {
  GgufContents contents = parse_gguf(bytes, source_);
  values_ = std::move(contents.values);
  tensors_ = std::move(contents.tensors);
  for (size_t i = 0; i < tensors_.size(); ++i) by_name_.emplace(tensors_[i].name, i);
}

const GgufFile::Tensor* GgufFile::find(const std::string& name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &tensors_[it->second];
}

std::string GgufFile::where(const std::string& key) const { return source_ + ": key " + key; }

const GgufValue& GgufFile::value(const std::string& key) const {
  const auto it = values_.find(key);
  LG_CHECK(it != values_.end(), where(key), " is missing.");
  return it->second;
}

void GgufFile::wrong(const std::string& key, const std::string& expected) const {
  LG_FAIL(where(key), ": expected ", expected, ", found ", describe(value(key)), ".");
}

std::string GgufFile::string(const std::string& key) const {
  const GgufValue& found = value(key);
  if (found.type != GgufValueType::string) wrong(key, "a string");
  return std::string(found.bytes);
}

std::string GgufFile::string(const std::string& key, const std::string& fallback) const {
  return has(key) ? string(key) : fallback;
}

int64_t GgufFile::integer(const std::string& key, int64_t low, int64_t high) const {
  const GgufValue& found = value(key);
  const std::optional<int64_t> number = integer_at(found.type, found.bytes, 0);
  if (!number || *number < low || *number > high) {
    wrong(key, detail::concat("an integer from ", low, " to ", high));
  }
  return *number;
}

int64_t GgufFile::integer(const std::string& key, int64_t low, int64_t high,
                          int64_t fallback) const {
  return has(key) ? integer(key, low, high) : fallback;
}

double GgufFile::number(const std::string& key, double low, double high) const {
  const GgufValue& found = value(key);
  double number = std::nan("");
  visit_number(found.type, found.bytes, 0, [&](auto n) { number = static_cast<double>(n); });
  const bool good = std::isfinite(number) && number >= low && number <= high;
  if (!good) wrong(key, detail::concat("a number from ", low, " to ", high));
  return number;
}

double GgufFile::number(const std::string& key, double low, double high, double fallback) const {
  return has(key) ? number(key, low, high) : fallback;
}

bool GgufFile::boolean(const std::string& key) const {
  const GgufValue& found = value(key);
  if (found.type != GgufValueType::boolean) wrong(key, "true or false");
  return found.bytes[0] != 0;
}

bool GgufFile::boolean(const std::string& key, bool fallback) const {
  return has(key) ? boolean(key) : fallback;
}

std::vector<std::string> GgufFile::strings(const std::string& key) const {
  const GgufValue& found = value(key);
  if (found.type != GgufValueType::array || found.element_type != GgufValueType::string) {
    wrong(key, "an array of strings");
  }
  std::vector<std::string> strings;
  strings.reserve(static_cast<size_t>(found.count));
  for (std::string_view rest = found.bytes; !rest.empty();) {
    const auto length = load<uint64_t>(rest, 0);  // checked when the file was opened
    strings.emplace_back(rest.substr(sizeof(length), length));
    rest.remove_prefix(sizeof(length) + length);
  }
  return strings;
}

std::vector<float> GgufFile::floats(const std::string& key) const {
  const GgufValue& found = value(key);
  const bool good =
      found.type == GgufValueType::array &&
      (found.element_type == GgufValueType::f32 || found.element_type == GgufValueType::f64);
  if (!good) wrong(key, "an array of floats");
  std::vector<float> floats(static_cast<size_t>(found.count));
  for (size_t i = 0; i < floats.size(); ++i) {
    visit_number(found.element_type, found.bytes, i,
                 [&](auto n) { floats[i] = static_cast<float>(n); });
  }
  return floats;
}

std::vector<int64_t> GgufFile::integers(const std::string& key, int64_t low, int64_t high) const {
  const GgufValue& found = value(key);
  const std::string expected = detail::concat("an array of integers from ", low, " to ", high);
  if (found.type != GgufValueType::array) wrong(key, expected);
  std::vector<int64_t> integers(static_cast<size_t>(found.count));
  for (size_t i = 0; i < integers.size(); ++i) {
    const std::optional<int64_t> number = integer_at(found.element_type, found.bytes, i);
    if (!number || *number < low || *number > high) {
      LG_FAIL(where(key), ": expected ", expected, ", found ", describe(found),
              number ? detail::concat(" with ", *number, " at index ", i) : "", ".");
    }
    integers[i] = *number;
  }
  return integers;
}

}  // namespace longgen
