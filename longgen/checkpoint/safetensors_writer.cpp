#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/checkpoint/safetensors.h"

namespace longgen {
namespace {

// A cache line, and what aligned vector loads want.
constexpr size_t kDataAlignment = 64;

std::string dump_strictly(const Json& value, const std::string& source) {
  try {
    return value.dump();
  } catch (const Json::exception&) {
    LG_FAIL(source, ": a tensor name or metadata entry is not valid UTF-8.");
  }
}

/// Length, JSON, and spaces up to the alignment.
std::string header_bytes(const Json& header, const std::string& source) {
  std::string text = std::string(sizeof(uint64_t), '\0') + dump_strictly(header, source);
  text.append((kDataAlignment - text.size() % kDataAlignment) % kDataAlignment, ' ');
  const uint64_t length = text.size() - sizeof(uint64_t);
  LG_CHECK(length <= kMaxSafetensorsHeaderBytes, source, ": the header would take ", length,
           " bytes; the format allows ", kMaxSafetensorsHeaderBytes, ".");
  std::memcpy(text.data(), &length, sizeof(length));
  return text;
}

int64_t bytes_of(const TensorSpec& spec, const std::string& source) {
  return count_bytes(spec.shape, dtype_bytes(spec.dtype),
                     source + ": tensor " + printable(spec.name));
}

/// Where each shard begins in the list of tensors.
std::vector<size_t> cut_into_shards(const std::vector<TensorSpec>& tensors, int64_t max_shard_bytes,
                                    const std::string& source) {
  std::vector<size_t> begins = {0};
  int64_t shard_bytes = 0;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const int64_t num_bytes = bytes_of(tensors[i], source);
    if (i > begins.back() && num_bytes > max_shard_bytes - shard_bytes) {
      begins.push_back(i);
      shard_bytes = 0;
    }
    shard_bytes += num_bytes;
  }
  return begins;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(const fs::path& file, std::vector<TensorSpec> tensors,
                                     std::map<std::string, std::string> metadata)
    : source_(file.string()), file_(file) {
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorSpec& a, const TensorSpec& b) {
    return dtype_bytes(a.dtype) > dtype_bytes(b.dtype);
  });
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  int64_t offset = 0;
  for (const TensorSpec& spec : tensors) {
    const std::string where = source_ + ": tensor " + printable(spec.name);
    LG_CHECK(spec.name != "__metadata__", where, ": the format reserves this name.");
    const int64_t num_bytes = bytes_of(spec, source_);
    LG_CHECK(slots_.emplace(spec.name, Slot{offset, num_bytes}).second, where, " is given twice.");
    LG_CHECK(num_bytes <= INT64_MAX / 2 - offset, where, ": the file would be too large.");
    header[spec.name] = {{"dtype", dtype_name(spec.dtype)},
                         {"shape", spec.shape},
                         {"data_offsets", {offset, offset + num_bytes}}};
    offset += num_bytes;
  }
  file_.write(header_bytes(header, source_));
  for (auto& [unused, slot] : slots_) slot.offset_bytes += file_.num_bytes();
}

void SafetensorsWriter::write(const std::string& name, std::string_view bytes) {
  const std::string where = source_ + ": tensor " + printable(name);
  const auto it = slots_.find(name);
  LG_CHECK(it != slots_.end(), where, " was not announced.");
  Slot& slot = it->second;
  LG_CHECK(!slot.written, where, " is written twice.");
  LG_CHECK(static_cast<int64_t>(bytes.size()) == slot.num_bytes, where, ": expected ",
           slot.num_bytes, " bytes, found ", bytes.size(), ".");
  file_.write_at(slot.offset_bytes, bytes);
  slot.written = true;
}

void SafetensorsWriter::finish() {
  for (const auto& [name, slot] : slots_) {
    LG_CHECK(slot.written, source_, ": tensor ", printable(name),
             " was announced, but not written.");
  }
  file_.commit();
}

ModelWriter::ModelWriter(const fs::path& directory, std::vector<TensorSpec> tensors,
                         int64_t max_shard_bytes)
    : directory_(directory) {
  const std::string source = directory.string();
  LG_CHECK(max_shard_bytes > 0, source, ": expected a shard size above 0, found ", max_shard_bytes,
           ".");
  const std::vector<size_t> begins = cut_into_shards(tensors, max_shard_bytes, source);
  for (size_t shard = 0; shard < begins.size(); ++shard) {
    const size_t end = shard + 1 < begins.size() ? begins[shard + 1] : tensors.size();
    std::vector<TensorSpec> part(tensors.begin() + static_cast<ptrdiff_t>(begins[shard]),
                                 tensors.begin() + static_cast<ptrdiff_t>(end));
    for (const TensorSpec& spec : part) {
      LG_CHECK(shard_of_.emplace(spec.name, shard).second, source, ": tensor ",
               printable(spec.name), " is given twice.");
      total_bytes_ += bytes_of(spec, source);
    }
    shard_names_.push_back(begins.size() == 1 ? "model.safetensors"
                                              : fmt::format("model-{:05}-of-{:05}.safetensors",
                                                            shard + 1, begins.size()));
    shards_.push_back(
        std::make_unique<SafetensorsWriter>(directory / shard_names_.back(), std::move(part)));
  }
}

void ModelWriter::write(const std::string& name, std::string_view bytes) {
  const auto it = shard_of_.find(name);
  LG_CHECK(it != shard_of_.end(), directory_.string(), ": tensor ", printable(name),
           " was not announced.");
  shards_[it->second]->write(name, bytes);
}

void ModelWriter::finish() {
  for (const auto& shard : shards_) shard->finish();
  if (shards_.size() == 1) return;
  Json weight_map = Json::object();
  for (const auto& [name, shard] : shard_of_) weight_map[name] = shard_names_[shard];
  const Json index = {{"metadata", {{"total_size", total_bytes_}}},
                      {"weight_map", std::move(weight_map)}};
  write_file(directory_ / "model.safetensors.index.json", dump_json(index, 2) + "\n");
}

}  // namespace longgen
