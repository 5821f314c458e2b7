// data/sources.h: which files a corpus consists of.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/data/byte_stream.h"

namespace longgen {

enum class SourceFormat { kText, kJsonLines };

struct Source {
  fs::path path;
  SourceFormat format = SourceFormat::kText;
  Compression compression = Compression::kNone;
  int64_t num_bytes = 0;  ///< size on disk
};

/// The list of endings, as messages and help texts give it.
inline constexpr const char* kSourceEndings =
    ".txt, .jsonl, .ndjson or .json, each also with .zst or .gz";

/// Lists the sources of a corpus. Files stay as they are; folders are searched recursively, in name
/// order, and files in them with other endings are left out with one warning. Links are followed
/// (corpus_files.h). The order of `inputs` is kept. Throws Error when an input is missing, a named
/// file has another ending, a folder holds no corpus file, a corpus file is packed in a way that
/// longgen does not read, or the same file comes twice (its documents would count double).
std::vector<Source> expand_inputs(const std::vector<fs::path>& inputs);

/// Does the same for a command that writes `output`, and throws Error, too, when the output lies
/// inside an input, where the next run would read it as a part of the corpus, or a link in an input
/// leads to it.
std::vector<Source> expand_inputs(const std::vector<fs::path>& inputs, const fs::path& output);

}  // namespace longgen
