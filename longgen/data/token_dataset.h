// data/token_dataset.h: reads what prepare wrote.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/base/json.h"
#include "longgen/data/dataset_format.h"

namespace longgen {

/// One split of a token dataset, mapped into memory; immutable and usable from several threads.
/// Tokens have positions 0 ... num_tokens - 1 over all documents of the split in the corpus' order.
class TokenDataset {
 public:
  /// Opens split "train" or "held_out". It always checks the manifest against itself, every file's
  /// size, the index' hash and that its offsets ascend; with verify also the hash of every shard,
  /// which reads them whole. Throws Error naming file, field, expected and found.
  static TokenDataset open(const fs::path& directory, const std::string& split,
                           bool verify = false);

  int64_t num_tokens() const { return num_tokens_; }
  int64_t num_documents() const { return num_documents_; }

  /// A document's tokens are [document_begin, document_end), where 0 <= document < num_documents.
  int64_t document_begin(int64_t document) const { return offset(document); }
  int64_t document_end(int64_t document) const { return offset(document + 1); }
  /// Returns the document that holds a token position.
  int64_t document_at(int64_t position) const;

  /// Copies out.size() tokens from a position on. Throws Error when they lie outside the split or
  /// an id is larger than largest_id() (a damaged shard).
  void read(int64_t position, std::span<int32_t> out) const;
  std::vector<int32_t> tokens(int64_t document) const;

  /// Whether some token of the split is not ordinary.
  bool has_marks() const { return !marks_.empty(); }
  /// Copies the marks of as many tokens, as read() does. Throws Error as read() does, and where a
  /// byte is no mark (a damaged file).
  void read_marks(int64_t position, std::span<uint8_t> out) const;

  int64_t vocab_size() const { return vocab_size_; }
  /// The largest id that either split may hold. A dataset of an earlier longgen does not say: then
  /// it is the vocabulary's largest.
  int64_t largest_id() const { return largest_id_; }
  std::optional<int32_t> begin_id() const { return begin_id_; }
  std::optional<int32_t> end_id() const { return end_id_; }
  const std::string& tokenizer_name() const { return tokenizer_name_; }
  const std::string& tokenizer_hash() const { return tokenizer_hash_; }
  /// Throws Error when the tokens come from another tokenizer than the one with this hash.
  void expect_tokenizer(const std::string& hash) const;

  /// Returns the hash of the manifest, which holds those of all files: one for the whole dataset.
  const std::string& hash() const { return hash_; }
  const fs::path& directory() const { return directory_; }
  const std::string& split() const { return split_; }

 private:
  TokenDataset(fs::path directory, std::string split);
  void read_manifest(const JsonObject& manifest, bool verify);
  std::vector<std::unique_ptr<MappedFile>> open_files(const JsonObject& split,
                                                      const std::string& key, int64_t bytes_each,
                                                      bool verify) const;
  void open_index(const JsonObject& split);
  void check_index() const;
  int64_t offset(int64_t index) const;
  template <typename Out, typename Copy>
  void for_each_shard(int64_t position, std::span<Out> out, Copy&& copy_part) const;
  template <typename Stored>
  void copy(const MappedFile& shard, int64_t first, std::span<int32_t> out) const;

  fs::path directory_;
  std::string split_, hash_, tokenizer_name_, tokenizer_hash_;
  TokenType type_ = TokenType::uint16;
  int64_t vocab_size_ = 0, largest_id_ = 0, shard_tokens_ = 0, num_tokens_ = 0, num_documents_ = 0;
  std::optional<int32_t> begin_id_, end_id_;
  std::vector<std::unique_ptr<MappedFile>> shards_, marks_;
  std::unique_ptr<MappedFile> index_;
};

}  // namespace longgen
