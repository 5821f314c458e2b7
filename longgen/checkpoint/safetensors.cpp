#include "longgen/checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <system_error>
#include <tuple>

#include "longgen/base/check.h"
#include "longgen/base/json.h"

namespace longgen {
namespace {

constexpr int64_t kLengthBytes = 8;  // the file starts with the header's length
constexpr const char* kMetadataKey = "__metadata__";
constexpr const char* kSingleName = "model.safetensors";
constexpr const char* kIndexName = "model.safetensors.index.json";
// Far above any real index (a megabyte for ten thousand tensors).
constexpr int64_t kMaxIndexBytes = 100'000'000;
// PyTorch's own limit; it also keeps messages that print a shape short.
constexpr size_t kMaxRank = 64;

/// The text of the header; everything after it is data.
std::string_view header_of(std::string_view bytes, const std::string& source) {
  LG_CHECK(bytes.size() >= kLengthBytes, source, ": expected a safetensors file (at least ",
           kLengthBytes, " bytes), found ", bytes.size(), " bytes.");
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof(length));
  LG_CHECK(length <= kMaxSafetensorsHeaderBytes, source, ": header length: expected at most ",
           kMaxSafetensorsHeaderBytes, " bytes, found ", length,
           ". This is not a safetensors file, or a damaged one.");
  LG_CHECK(length <= bytes.size() - kLengthBytes, source, ": truncated: the header takes ", length,
           " bytes, but only ", bytes.size() - kLengthBytes, " follow.");
  const std::string_view header = bytes.substr(kLengthBytes, length);
  LG_CHECK(header.starts_with('{'), source,
           ": expected the header to start with \"{\". This is not a safetensors file.");
  return header;
}

std::map<std::string, std::string> string_map(const JsonObject& object) {
  std::map<std::string, std::string> strings;
  for (const auto& [key, unused] : object.value().items()) strings[key] = object.string(key);
  return strings;
}

TensorEntry entry_of(const std::string& name, const JsonObject& info, std::string_view data,
                     const std::string& source) {
  const std::string where = source + ": tensor " + printable(name);
  const std::string dtype_text = info.string("dtype");
  const std::optional<DType> dtype = dtype_from_name(dtype_text);
  LG_CHECK(dtype, where, ": dtype: expected one of ", dtype_list(), "; found \"",
           printable(dtype_text), "\".");

  TensorEntry entry{name, *dtype, info.integers("shape", 0, INT64_MAX), {}};
  LG_CHECK(entry.shape.size() <= kMaxRank, where, ": expected at most ", kMaxRank,
           " dimensions, found ", entry.shape.size(), ".");
  const int64_t expected_bytes = count_bytes(entry.shape, dtype_bytes(*dtype), where);

  const std::vector<int64_t> range = info.integers("data_offsets", 0, INT64_MAX);
  LG_CHECK(range.size() == 2, where, ": data_offsets: expected [begin, end], found ", range.size(),
           " numbers.");
  const auto [begin, end] = std::tie(range[0], range[1]);
  LG_CHECK(begin <= end, where, ": data_offsets: the end ", end, " lies before the begin ", begin,
           ".");
  LG_CHECK(end <= static_cast<int64_t>(data.size()), where, ": its data ends at byte ", end,
           ", but the file holds only ", data.size(),
           " bytes of data: truncated, or a wrong offset.");
  LG_CHECK(end - begin == expected_bytes, where, ": shape ", format_shape(entry.shape), " of ",
           dtype_name(*dtype), " takes ", expected_bytes, " bytes, but data_offsets span ",
           end - begin, ".");
  entry.bytes = data.substr(static_cast<size_t>(begin), static_cast<size_t>(expected_bytes));
  return entry;
}

/// Sorts the entries by their place and refuses overlaps, holes and leftovers: two readers must not
/// see different tensors, and nothing may hide in a file.
void check_tiling(std::vector<TensorEntry>& entries, std::string_view data,
                  const std::string& source) {
  std::sort(entries.begin(), entries.end(), [](const TensorEntry& a, const TensorEntry& b) {
    return std::make_tuple(a.bytes.data(), a.bytes.size()) <
           std::make_tuple(b.bytes.data(), b.bytes.size());
  });
  int64_t filled = 0;
  for (const TensorEntry& entry : entries) {
    const int64_t begin = entry.bytes.data() - data.data();
    const std::string where = source + ": tensor " + printable(entry.name);
    LG_CHECK(begin >= filled, where, " overlaps another one: it begins at byte ", begin,
             " of the data, but bytes up to ", filled, " are taken.");
    LG_CHECK(begin == filled, where, ": expected to begin at byte ", filled, " of the data, found ",
             begin, ": a hole in the file.");
    filled = begin + static_cast<int64_t>(entry.bytes.size());
  }
  LG_CHECK(filled == static_cast<int64_t>(data.size()), source, ": the tensors take ", filled,
           " bytes of data, but the file holds ", data.size(), ".");
}

}  // namespace

SafetensorsFile::SafetensorsFile(const fs::path& path) : file_(std::make_unique<MappedFile>(path)) {
  parse(file_->bytes(), path.string());
}

SafetensorsFile::SafetensorsFile(std::string_view bytes, const std::string& source) {
  parse(bytes, source);
}

void SafetensorsFile::parse(std::string_view bytes, const std::string& source) {
  const std::string_view header = header_of(bytes, source);
  const std::string_view data = bytes.substr(kLengthBytes + header.size());
  const Json value = parse_json(header, source);
  const JsonObject root(value, source);
  for (const auto& [name, unused] : value.items()) {
    if (name == kMetadataKey) {
      metadata_ = string_map(root.object(name));
    } else {
      const JsonObject info(root.raw(name), source, printable(name));
      tensors_.push_back(entry_of(name, info, data, source));
    }
  }
  check_tiling(tensors_, data, source);
  for (size_t i = 0; i < tensors_.size(); ++i) by_name_.emplace(tensors_[i].name, i);
}

const TensorEntry* SafetensorsFile::find(const std::string& name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &tensors_[it->second];
}

std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& source) {
  const Json value = parse_json(text, source);
  const JsonObject root(value, source);
  std::map<std::string, std::string> shards = string_map(root.object("weight_map"));
  LG_CHECK(!shards.empty(), root.where("weight_map"), ": expected at least one tensor.");
  return shards;
}

SafetensorsSet::SafetensorsSet(const fs::path& model_directory) {
  const fs::path single = model_directory / kSingleName, index = model_directory / kIndexName;
  std::error_code failed;  // whatever the system says of a strange path, it is not there
  LG_CHECK(fs::is_directory(model_directory, failed), model_directory.string(),
           ": no such folder.");
  if (fs::exists(single, failed)) {
    files_.push_back(std::make_unique<SafetensorsFile>(single));
    paths_.emplace_back(kSingleName);
    for (const TensorEntry& entry : files_[0]->tensors()) by_name_.emplace(entry.name, &entry);
  } else {
    LG_CHECK(fs::exists(index, failed), model_directory.string(), ": expected ", kSingleName,
             " or ", kIndexName, ", found neither.",
             fs::exists(model_directory / "pytorch_model.bin", failed) ||
                     fs::exists(model_directory / "pytorch_model.bin.index.json", failed)
                 ? " longgen does not read pytorch_model.bin; transformers writes safetensors: "
                   "AutoModelForCausalLM.from_pretrained(DIR).save_pretrained(OUT)."
                 : "");
    paths_.emplace_back(kIndexName);
    open_shards(model_directory, index);
  }
  for (const auto& [name, unused] : by_name_) names_.push_back(name);
  std::sort(names_.begin(), names_.end());
}

void SafetensorsSet::open_shards(const fs::path& directory, const fs::path& index) {
  const std::string source = index.string();
  const auto shard_of = parse_safetensors_index(read_file(index, kMaxIndexBytes), source);
  std::map<std::string, const SafetensorsFile*> shards;
  for (const auto& [name, shard] : shard_of) {
    if (shards.contains(shard)) continue;
    const fs::path path = join_inside(directory, shard);
    std::error_code failed;  // a name too long for the system is missing too
    LG_CHECK(fs::exists(path, failed), source, ": tensor ", printable(name),
             " is listed in the shard ", printable(shard), ", which is missing from the folder.");
    files_.push_back(std::make_unique<SafetensorsFile>(path));
    paths_.push_back(fs::path(shard).lexically_normal());
    shards.emplace(shard, files_.back().get());
  }
  for (const auto& [shard, file] : shards) {
    for (const TensorEntry& entry : file->tensors()) {
      const auto listed = shard_of.find(entry.name);
      LG_CHECK(listed != shard_of.end(), source, ": the shard ", printable(shard),
               " holds the tensor ", printable(entry.name), ", which the index does not list.");
      LG_CHECK(listed->second == shard, source, ": the shard ", printable(shard),
               " holds the tensor ", printable(entry.name), ", which the index lists in ",
               printable(listed->second), ".");
      by_name_.emplace(entry.name, &entry);
    }
  }
  for (const auto& [name, shard] : shard_of) {
    LG_CHECK(by_name_.contains(name), source, ": the tensor ", printable(name),
             " is listed in the shard ", printable(shard), ", which does not hold it.");
  }
}

const TensorEntry* SafetensorsSet::find(const std::string& name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

}  // namespace longgen
