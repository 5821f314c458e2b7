// measure/texts.h: the stretches of text that a model reads while its layers are measured.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/data/documents.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

/// Collects stretches of equal length from documents. The first `count` documents that are long
/// enough give one each, from their beginnings; where there are fewer, they give the stretches
/// behind those in turn. A stretch lies within one document.
class StretchCollector {
 public:
  /// Every stretch begins with `begin`, which counts as one of its `length` tokens.
  StretchCollector(int64_t length, int64_t count, std::optional<int32_t> begin);

  /// Takes a document without tokens around it. Returns false when no more are needed.
  bool add(std::vector<int32_t> ids);
  /// Gives the stretches, at most `count`. Where there is none, throws Error naming `source`, where
  /// the documents came from, and the longest of them.
  std::vector<std::vector<int32_t>> stretches(const std::string& source) const;

 private:
  int64_t length_, count_, longest_ = 0, num_documents_ = 0;
  std::optional<int32_t> begin_;
  std::vector<std::vector<int32_t>> documents_;  // those that are long enough
};

/// Reads stretches of `length` tokens, at most `count`. Throws Error naming the source where no
/// document is long enough, and as for_each_document() and TokenDataset do.
std::vector<std::vector<int32_t>> read_stretches(const DocumentSource& source,
                                                 const Tokenizer& tokenizer,
                                                 const fs::path& model_directory, int64_t length,
                                                 int64_t count);

}  // namespace longgen
