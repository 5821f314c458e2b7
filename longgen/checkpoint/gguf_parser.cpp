#include "longgen/checkpoint/gguf_parser.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <unordered_set>

#include "longgen/base/check.h"
#include "longgen/checkpoint/tensor_entry.h"

namespace longgen {
namespace {

static_assert(std::endian::native == std::endian::little, "values are read in place");

constexpr std::string_view kMagic = "GGUF";
constexpr uint32_t kMaxDims = 4;  // of the format
// The format's limit for keys; tensor names are far shorter.
constexpr size_t kMaxNameBytes = 65535;
constexpr uint32_t kDefaultAlignment = 32;
constexpr const char* kAlignmentKey = "general.alignment";
// The shortest entries possible, to hold counts against the bytes that are left: a key is a length,
// a type and one byte of value; a tensor is a name's length, a number of dimensions, a type and the
// offset of its data.
constexpr uint64_t kMinKeyBytes = 8 + 4 + 1;
constexpr uint64_t kMinTensorBytes = 8 + 4 + 4 + 8;
constexpr uint64_t kMinStringBytes = 8;

struct ValueTypeInfo {
  std::string_view name;
  int64_t bytes;
};

constexpr std::array kValueTypes = {
    // They stand in the order of their numbers.
    ValueTypeInfo{"uint8", 1},   ValueTypeInfo{"int8", 1},   ValueTypeInfo{"uint16", 2},
    ValueTypeInfo{"int16", 2},   ValueTypeInfo{"uint32", 4}, ValueTypeInfo{"int32", 4},
    ValueTypeInfo{"float32", 4}, ValueTypeInfo{"bool", 1},   ValueTypeInfo{"string", 0},
    ValueTypeInfo{"array", 0},   ValueTypeInfo{"uint64", 8}, ValueTypeInfo{"int64", 8},
    ValueTypeInfo{"float64", 8},
};

/// Reads bytes from front to back and never past the end.
class Reader {
 public:
  Reader(std::string_view bytes, const std::string& source) : bytes_(bytes), source_(source) {}

  /// `what` is what the bytes are for, in errors.
  std::string_view take(uint64_t num_bytes, const std::string& what) {
    LG_CHECK(num_bytes <= remaining(), source_, ": truncated: ", what, " takes ", num_bytes,
             " bytes at offset ", at_, ", but the file ends at ", bytes_.size(), ".");
    const std::string_view taken = bytes_.substr(at_, num_bytes);
    at_ += num_bytes;
    return taken;
  }

  template <typename T>
  T number(const std::string& what) {
    T value;
    std::memcpy(&value, take(sizeof(T), what).data(), sizeof(T));
    return value;
  }

  /// A number of things of at least min_bytes each.
  uint64_t count(uint64_t min_bytes, const std::string& what) {
    const auto value = number<uint64_t>(what);
    LG_CHECK(value <= remaining() / min_bytes, source_, ": ", what, ": found ", value, ", but the ",
             remaining(), " bytes that follow hold at most ", remaining() / min_bytes,
             ". Truncated, or not a GGUF file.");
    return value;
  }

  std::string_view string(const std::string& what) { return take(number<uint64_t>(what), what); }

  std::string name(const std::string& what) {
    const std::string_view text = string(what);
    LG_CHECK(!text.empty() && text.size() <= kMaxNameBytes, source_, ": ", what, ": expected 1 to ",
             kMaxNameBytes, " bytes, found ", text.size(), ".");
    return std::string(text);
  }

  uint64_t at() const { return at_; }
  uint64_t remaining() const { return bytes_.size() - at_; }

 private:
  std::string_view bytes_;
  const std::string& source_;
  uint64_t at_ = 0;
};

class Parser {
 public:
  Parser(std::string_view bytes, const std::string& source)
      : bytes_(bytes), source_(source), in_(bytes, source) {}

  GgufContents parse() {
    check_version();
    // Each count is held against the bytes before it is used, and again entry by entry.
    const uint64_t num_tensors = in_.count(kMinTensorBytes, "the number of tensors");
    const uint64_t num_keys = in_.count(kMinKeyBytes, "the number of keys");
    GgufContents contents;
    for (uint64_t i = 0; i < num_keys; ++i) {
      std::string key = in_.name("key " + std::to_string(i));
      const GgufValue found = value("key " + printable(key));
      LG_CHECK(contents.values.emplace(key, found).second, source_, ": key ", printable(key),
               " stands twice.");
    }
    read_alignment(contents.values);
    for (uint64_t i = 0; i < num_tensors; ++i) infos_.push_back(tensor_info(i));
    place_tensors(contents);
    return contents;
  }

 private:
  void check_version() {
    const std::string_view magic = in_.take(kMagic.size(), "the magic number");
    LG_CHECK(magic == kMagic, source_, ": expected a GGUF file (magic \"GGUF\"), found \"",
             printable(magic), "\".");
    const auto version = in_.number<uint32_t>("the version");
    LG_CHECK((version & 0xffff) != 0 || version == 0, source_,
             ": this GGUF file is big-endian; only little-endian ones are read.");
    LG_CHECK(version == 2 || version == 3, source_, ": GGUF version: expected 2 or 3, found ",
             version, version == 1 ? ". Convert the model again with a current converter." : ".");
  }

  GgufValueType value_type(const std::string& where) {
    const auto number = in_.number<uint32_t>("the type of " + where);
    LG_CHECK(number < kValueTypes.size(), source_, ": ", where, ": expected a type from 0 to ",
             kValueTypes.size() - 1, ", found ", number, ".");
    return static_cast<GgufValueType>(number);
  }

  GgufValue value(const std::string& where) {
    GgufValue found;
    found.type = value_type(where);
    if (found.type == GgufValueType::array) return array(where);
    if (found.type == GgufValueType::string) {
      found.bytes = in_.string(where);
    } else {
      found.bytes = in_.take(static_cast<uint64_t>(gguf_value_bytes(found.type)), where);
    }
    if (found.type == GgufValueType::boolean) check_booleans(found.bytes, where);
    return found;
  }

  GgufValue array(const std::string& where) {
    GgufValue found;
    found.type = GgufValueType::array;
    found.element_type = value_type(where);
    LG_CHECK(found.element_type != GgufValueType::array, source_, ": ", where,
             ": arrays of arrays are not supported (no model uses them).");
    const auto element_bytes = static_cast<uint64_t>(gguf_value_bytes(found.element_type));
    const bool strings = found.element_type == GgufValueType::string;
    const uint64_t count =
        in_.count(strings ? kMinStringBytes : element_bytes, "the number of elements of " + where);
    found.count = static_cast<int64_t>(count);
    const uint64_t begin = in_.at();
    if (strings) {
      const std::string what = "an element of " + where;
      for (uint64_t i = 0; i < count; ++i) in_.string(what);
    } else {
      in_.take(count * element_bytes, where);
    }
    found.bytes = bytes_.substr(begin, in_.at() - begin);
    if (found.element_type == GgufValueType::boolean) check_booleans(found.bytes, where);
    return found;
  }

  void check_booleans(std::string_view bytes, const std::string& where) const {
    for (const char byte : bytes) {
      LG_CHECK(byte == 0 || byte == 1, source_, ": ", where, ": expected a bool (0 or 1), found ",
               static_cast<int>(static_cast<unsigned char>(byte)), ".");
    }
  }

  void read_alignment(const std::map<std::string, GgufValue>& values) {
    const auto it = values.find(kAlignmentKey);
    if (it == values.end()) return;
    LG_CHECK(it->second.type == GgufValueType::u32, source_, ": key ", kAlignmentKey,
             ": expected a uint32, found ", gguf_value_type_name(it->second.type), ".");
    std::memcpy(&alignment_, it->second.bytes.data(), sizeof(alignment_));
    LG_CHECK(std::has_single_bit(alignment_), source_, ": key ", kAlignmentKey,
             ": expected a power of two, found ", alignment_, ".");
  }

  struct TensorInfo {
    GgufFile::Tensor tensor;
    uint64_t offset;  // from the start of the data
    int64_t num_bytes;
  };

  TensorInfo tensor_info(uint64_t index) {
    TensorInfo info;
    info.tensor.name = in_.name("the name of tensor " + std::to_string(index));
    const std::string what = "tensor " + printable(info.tensor.name);
    const std::string where = source_ + ": " + what;
    LG_CHECK(names_.insert(info.tensor.name).second, where, " stands twice.");
    const auto num_dims = in_.number<uint32_t>(what);
    LG_CHECK(num_dims <= kMaxDims, where, ": expected at most ", kMaxDims, " dimensions, found ",
             num_dims, ".");
    for (uint32_t d = 0; d < num_dims; ++d) {
      const auto dim = in_.number<int64_t>(what);
      LG_CHECK(dim > 0, where, ": dimension ", d, ": expected a positive number, found ",
               static_cast<uint64_t>(dim), ".");
      info.tensor.shape.insert(info.tensor.shape.begin(), dim);
    }
    const auto type = in_.number<uint32_t>(what);
    const GgmlTypeInfo* const type_info = find_ggml_type(type);
    LG_CHECK(type_info != nullptr, where, ": unknown tensor type ", type, ".");
    info.tensor.type = type_info->type;
    const int64_t row = info.tensor.shape.empty() ? 1 : info.tensor.shape.back();
    LG_CHECK(row % type_info->block_elements == 0, where, ": rows of ", row,
             " elements are not a whole number of ", type_info->name, " blocks of ",
             type_info->block_elements, ".");
    const int64_t num_blocks = count_elements(info.tensor.shape, where) / type_info->block_elements;
    LG_CHECK(!__builtin_mul_overflow(num_blocks, type_info->block_bytes, &info.num_bytes), where,
             ": shape ", format_shape(info.tensor.shape),
             " has more bytes than 63 bits can count.");
    info.offset = in_.number<uint64_t>(what);
    LG_CHECK(info.offset % alignment_ == 0, where, ": offset ", info.offset,
             " is not a multiple of the alignment ", alignment_, ".");
    return info;
  }

  void place_tensors(GgufContents& contents) {
    const uint64_t header_bytes = in_.at();
    const uint64_t data_begin = (header_bytes + alignment_ - 1) / alignment_ * alignment_;
    const uint64_t data_bytes = data_begin < bytes_.size() ? bytes_.size() - data_begin : 0;
    for (TensorInfo& info : infos_) {
      const auto num_bytes = static_cast<uint64_t>(info.num_bytes);
      LG_CHECK(info.offset <= data_bytes && num_bytes <= data_bytes - info.offset, source_,
               ": tensor ", printable(info.tensor.name), " takes ", num_bytes, " bytes at offset ",
               info.offset, " of the data, but the file holds only ", data_bytes,
               " bytes of data: truncated, or a wrong offset.");
      info.tensor.bytes = bytes_.substr(data_begin + info.offset, num_bytes);
    }
    check_overlap();
    for (TensorInfo& info : infos_) contents.tensors.push_back(std::move(info.tensor));
  }

  void check_overlap() const {
    std::vector<const TensorInfo*> order;
    for (const TensorInfo& info : infos_) order.push_back(&info);
    std::sort(order.begin(), order.end(),
              [](const TensorInfo* a, const TensorInfo* b) { return a->offset < b->offset; });
    for (size_t i = 1; i < order.size(); ++i) {
      const uint64_t end = order[i - 1]->offset + static_cast<uint64_t>(order[i - 1]->num_bytes);
      LG_CHECK(order[i]->offset >= end, source_, ": tensor ", printable(order[i]->tensor.name),
               " begins at offset ", order[i]->offset, " of the data and overlaps ",
               printable(order[i - 1]->tensor.name), ", which ends at ", end, ".");
    }
  }

  std::string_view bytes_;
  const std::string& source_;
  Reader in_;
  uint32_t alignment_ = kDefaultAlignment;
  std::vector<TensorInfo> infos_;
  std::unordered_set<std::string> names_;
};

}  // namespace

GgufContents parse_gguf(std::string_view bytes, const std::string& source) {
  return Parser(bytes, source).parse();
}

int64_t gguf_value_bytes(GgufValueType type) {
  return kValueTypes.at(static_cast<size_t>(type)).bytes;
}

std::string_view gguf_value_type_name(GgufValueType type) {
  return kValueTypes.at(static_cast<size_t>(type)).name;
}

}  // namespace longgen
