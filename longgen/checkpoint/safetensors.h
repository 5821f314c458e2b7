// checkpoint/safetensors.h: reading and writing safetensors files, single or sharded.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/checkpoint/tensor_entry.h"

namespace longgen {

/// The largest header that is read, as in the reference implementation.
inline constexpr int64_t kMaxSafetensorsHeaderBytes = 100'000'000;

/// One safetensors file, mapped. Tensors must tile the data exactly: no overlap, no hole, nothing
/// left over. Throws Error naming the file, the tensor, what was expected and what was found.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const fs::path& path);
  /// Reads `bytes`, which must outlive the object. `source` names them in errors.
  SafetensorsFile(std::string_view bytes, const std::string& source);

  /// The tensors stand in the order of their data.
  const std::vector<TensorEntry>& tensors() const { return tensors_; }
  /// Gives nullptr when there is no tensor of this name.
  const TensorEntry* find(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  void parse(std::string_view bytes, const std::string& source);

  std::unique_ptr<MappedFile> file_;
  std::vector<TensorEntry> tensors_;
  std::unordered_map<std::string, size_t> by_name_;
  std::map<std::string, std::string> metadata_;
};

/// The weight map of a model.safetensors.index.json: tensor name -> file name, as written there
/// (not yet checked against a folder). Throws Error naming `source`.
std::map<std::string, std::string> parse_safetensors_index(std::string_view text,
                                                           const std::string& source);

/// All tensors of a model directory: of model.safetensors, or else of the shards that
/// model.safetensors.index.json names. Index and shards must agree in both directions.
class SafetensorsSet {
 public:
  explicit SafetensorsSet(const fs::path& model_directory);

  /// The names are sorted.
  const std::vector<std::string>& names() const { return names_; }
  /// Gives nullptr when there is no tensor of this name.
  const TensorEntry* find(const std::string& name) const;
  /// The files it was read from, the index included, relative to the folder.
  const std::vector<fs::path>& files() const { return paths_; }

 private:
  void open_shards(const fs::path& directory, const fs::path& index);

  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::vector<fs::path> paths_;
  std::unordered_map<std::string, const TensorEntry*> by_name_;
  std::vector<std::string> names_;
};

struct TensorSpec {
  std::string name;
  DType dtype = DType::f32;
  std::vector<int64_t> shape;
};

/// Writes one safetensors file of tensors known beforehand; nothing but the header is kept in
/// memory. The file appears under its name only with finish(). Data starts at a multiple of 64
/// bytes and wide elements come first, so that every tensor is aligned to its element size (the
/// format allows no padding between tensors). Throws Error on a bad spec and on write errors.
class SafetensorsWriter {
 public:
  SafetensorsWriter(const fs::path& file, std::vector<TensorSpec> tensors,
                    std::map<std::string, std::string> metadata = {{"format", "pt"}});

  /// Takes the bytes of one tensor, row-major. Each tensor is written exactly once, in any order.
  void write(const std::string& name, std::string_view bytes);
  /// Throws when a tensor has not been written.
  void finish();

 private:
  struct Slot {
    int64_t offset_bytes, num_bytes;  // offset in the file
    bool written = false;
  };

  std::string source_;
  AtomicFile file_;
  std::unordered_map<std::string, Slot> slots_;
};

/// Shards are cut when the next tensor would exceed this; transformers uses the same figure.
inline constexpr int64_t kDefaultShardBytes = 5'000'000'000;

/// Writes the weights of a model directory: model.safetensors, or model-00001-of-0000N.safetensors
/// and model.safetensors.index.json when they take more than max_shard_bytes. Tensors are
/// dealt to shards in the order given; one larger than max_shard_bytes gets a shard of its own. All
/// files appear in finish(), the index last; write into an AtomicDirectory for all or nothing.
class ModelWriter {
 public:
  ModelWriter(const fs::path& directory, std::vector<TensorSpec> tensors,
              int64_t max_shard_bytes = kDefaultShardBytes);

  /// Takes the bytes of one tensor, as SafetensorsWriter::write does.
  void write(const std::string& name, std::string_view bytes);
  void finish();

 private:
  fs::path directory_;
  std::vector<std::unique_ptr<SafetensorsWriter>> shards_;
  std::vector<std::string> shard_names_;
  std::map<std::string, size_t> shard_of_;  // ordered: the index file lists names sorted
  int64_t total_bytes_ = 0;
};

}  // namespace longgen
