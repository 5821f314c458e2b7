// data/document_parser.h: from a record's bytes to a document's text, or to what is wrong with it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/data/record_reader.h"

namespace longgen {

struct BadLine {
  int64_t source = 0;
  int64_t line = 0;  ///< from 1
  std::string reason;
};

/// Turns records into documents. Bad lines are: in JSONL, a line that is no JSON object, lacks the
/// text field, has it twice or not as a string, or is not UTF-8 (lone surrogate escapes count); in
/// text files, a line that is not UTF-8; in both, a document over the size limit. Numbers in other
/// fields may be of any size. A parser serves one thread.
class DocumentParser {
 public:
  DocumentParser(const std::vector<Source>& sources, std::string text_field);
  ~DocumentParser();

  /// Returns the record's text without its bad lines, each of which is appended to `bad`. It is a
  /// view into the batch or the parser, valid until either changes; empty when nothing is left.
  std::string_view parse(const RecordBatch& batch, const Record& record, std::vector<BadLine>& bad);

 private:
  struct Json;

  std::string_view parse_json(const RecordBatch& batch, const Record& record,
                              std::vector<BadLine>& bad);
  std::string_view parse_text(const RecordBatch& batch, const Record& record,
                              std::vector<BadLine>& bad);

  const std::vector<Source>& sources_;
  std::string text_field_, cleaned_;
  std::unique_ptr<Json> json_;
};

}  // namespace longgen
