// data/compose/corpus_text.h: a corpus as one text, of which any piece can be looked at.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/data/sources.h"

namespace longgen {

/// What stands between two documents.
inline constexpr std::string_view kBetweenDocuments = "\n\n***\n\n";

/// The documents of a corpus in order, without white space at their ends, kBetweenDocuments between
/// them. They are written into a file in `scratch`, which is mapped and unlinked at once: the text
/// takes disk, not memory. A process that is killed while it reads leaves a part of it there.
class CorpusText {
 public:
  struct Options {
    std::string text_field = "text";
    bool skip_bad = false;  ///< count bad lines and leave them out
    bool show_progress = true;
    const std::atomic<bool>* stop = nullptr;  ///< ends it with an Error
  };

  /// Throws Error naming file and line for a bad line, and for a corpus without any text.
  CorpusText(const std::vector<Source>& sources, const Options& options, const fs::path& scratch);

  std::string_view bytes() const { return file_->bytes(); }
  int64_t num_documents() const { return num_documents_; }
  int64_t num_bad_lines() const { return num_bad_lines_; }
  const std::string& hash() const { return hash_; }

 private:
  void write(const std::vector<Source>& sources, const Options& options, const fs::path& path);

  std::unique_ptr<MappedFile> file_;
  std::string hash_;
  int64_t num_documents_ = 0, num_bad_lines_ = 0;
};

}  // namespace longgen
