// data/record_reader.h: cuts a corpus into records (a line of JSONL, a document of a text file)
// without looking inside them. Parsing is left to the workers, so that this one thread keeps up.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/data/byte_stream.h"
#include "longgen/data/sources.h"

namespace longgen {

/// A line holding just this separates two documents of a text file.
inline constexpr std::string_view kDocumentSeparator = "<|endoftext|>";

struct Record {
  int64_t source = 0;      ///< index into the sources
  int64_t first_line = 1;  ///< of the record in its file, from 1
  int64_t offset = 0, num_bytes = 0;
  bool too_large = false;  ///< over the limit: its bytes were dropped
};

/// Several records that share one allocation.
struct RecordBatch {
  /// Behind the last record stand this many readable bytes, which simdjson may touch.
  static constexpr int64_t kPaddingBytes = 64;

  std::string bytes;
  std::vector<Record> records;
  int64_t input_bytes = 0;  ///< of all files read so far, as they are on disk

  std::string_view view(const Record& record) const {
    return std::string_view(bytes).substr(static_cast<size_t>(record.offset),
                                          static_cast<size_t>(record.num_bytes));
  }
};

/// Reads the sources in order. Memory: one batch (about 1 MiB, or the one document that is larger,
/// at most max_record_bytes) and the decompressor's window.
/// Text: documents stand between separator lines; the newline before a separator or the file's end
/// belongs to neither document. JSONL: one record a line; lines of only whitespace are left out.
/// A UTF-8 byte order mark at a file's start is left out; a file that begins as UTF-16 or as packed
/// data throws Error. A document never spans two files.
class RecordReader {
 public:
  RecordReader(const std::vector<Source>& sources, int64_t max_record_bytes);

  /// Replaces the content of `batch`. Returns false when everything has been read.
  bool next(RecordBatch& batch);

 private:
  enum class Line { kWhole, kCut, kNone };

  bool open_next();
  bool refill();
  Line append_line(std::string& out, size_t max_bytes);
  bool append_record(RecordBatch& batch);
  bool append_text_record(RecordBatch& batch);
  bool append_json_record(RecordBatch& batch);

  const std::vector<Source>& sources_;
  size_t max_record_bytes_;
  int64_t source_ = -1, line_ = 0, finished_bytes_ = 0;
  std::unique_ptr<ByteStream> stream_;
  std::vector<char> buffer_;
  size_t begin_ = 0, end_ = 0;  // the unread part of buffer_
};

}  // namespace longgen
