// data/split_writer.h: writes the shards and the index of one split.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "longgen/base/files.h"
#include "longgen/base/json.h"
#include "longgen/data/dataset_format.h"

namespace longgen {

/// Writes documents into one stream of tokens, cut into shards of shard_tokens each (the last is
/// shorter; a document may go on in the next shard). A split in which every token is ordinary has
/// no files of marks; otherwise each shard has one. Memory is constant. Throws Error when the disk
/// is full; the caller's AtomicDirectory then removes everything.
class SplitWriter {
 public:
  SplitWriter(fs::path directory, std::string split, TokenType type, int64_t shard_tokens);
  ~SplitWriter();

  /// Takes at least one token, each >= 0 and within the type, and the marks of all of them, or none
  /// where they are ordinary.
  void add_document(std::span<const int32_t> tokens, std::span<const uint8_t> marks = {});

  /// Flushes everything and returns the split's part of the manifest.
  OrderedJson finish();

  int64_t num_documents() const { return num_documents_; }
  int64_t num_tokens() const { return num_tokens_; }
  bool has_marks() const { return has_marks_; }

 private:
  class HashedFile;

  void append(std::span<const int32_t> tokens);
  void begin_marks();
  void open_shard();
  void open_marks();
  void close_shard();

  fs::path directory_;
  std::string split_;
  TokenType type_;
  int64_t shard_tokens_, shard_room_ = 0, num_documents_ = 0, num_tokens_ = 0;
  bool has_marks_ = false;
  std::unique_ptr<HashedFile> index_, shard_, shard_marks_;
  OrderedJson shards_ = OrderedJson::array(), marks_ = OrderedJson::array();
};

}  // namespace longgen
