// data/document_parser.h: from a record's bytes to a document's text, or to what is wrong with it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/data/record_reader.h"
#include "longgen/tokenizer/byte_range.h"

namespace longgen {

struct BadLine {
  int64_t source = 0;
  int64_t line = 0;  ///< from 1
  std::string reason;
};

/// What a record says. Its parts are views into the batch or the parser, valid until either
/// changes.
struct Document {
  std::string_view text;           ///< empty when nothing is left of the record
  std::vector<ByteRange> answers;  ///< of the text: ascending, between characters
  std::string_view conversation;   ///< a line of JSON that has messages in place of a text
};

/// What counts in a line of JSONL.
struct DocumentFields {
  std::string text = "text";
  bool marks = false;  ///< also "answers" and "messages", which otherwise mean nothing
};

/// Turns records into documents. Bad lines are: in JSONL, a line that is no JSON object, has no
/// text and no messages, or both, or a field that counts twice or of another type, or is not UTF-8
/// (lone surrogate escapes count); in text files, a line that is not UTF-8; in both, a document
/// over the size limit. Numbers in fields that do not count may be of any size. A parser serves one
/// thread.
class DocumentParser {
 public:
  DocumentParser(const std::vector<Source>& sources, DocumentFields fields);
  ~DocumentParser();

  /// Returns the document without its bad lines, each of which is appended to `bad`.
  Document parse(const RecordBatch& batch, const Record& record, std::vector<BadLine>& bad);

 private:
  struct Json;

  Document parse_json(const RecordBatch& batch, const Record& record, std::vector<BadLine>& bad);
  std::string_view parse_text(const RecordBatch& batch, const Record& record,
                              std::vector<BadLine>& bad);

  const std::vector<Source>& sources_;
  DocumentFields fields_;
  std::string cleaned_;
  std::unique_ptr<Json> json_;
};

}  // namespace longgen
