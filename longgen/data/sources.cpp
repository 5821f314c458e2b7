#include "longgen/data/sources.h"

#include <algorithm>
#include <optional>
#include <set>

#include "longgen/base/ascii.h"
#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/units.h"
#include "longgen/data/corpus_files.h"

namespace longgen {
namespace {

std::optional<SourceFormat> format_of(const fs::path& name) {
  const std::string ending = name.extension().string();
  if (ending == ".txt") return SourceFormat::kText;
  const bool json = ending == ".jsonl" || ending == ".ndjson" || ending == ".json";
  return json ? std::optional(SourceFormat::kJsonLines) : std::nullopt;
}

/// A corpus file that is packed in another way is part of the corpus, and must not be left out.
void refuse_other_packing(const fs::path& path, const fs::path& name) {
  const std::string ending = name.extension().string();
  for (const char* other : {".xz", ".bz2", ".lz4", ".lzma", ".br", ".zip", ".7z"}) {
    LG_CHECK(ending != other || !format_of(name.stem()), path.string(),
             ": longgen reads .zst and "
             ".gz, and not ",
             other, ". Unpack it, or pack it again as .zst.");
  }
}

/// Gives nothing for an ending that is no corpus file's.
std::optional<Source> classify(const fs::path& path) {
  Source source;
  source.path = path;
  fs::path name = ascii_lower(path.filename().string());
  refuse_other_packing(path, name);
  if (name.extension() == ".zst") source.compression = Compression::kZstd;
  if (name.extension() == ".gz") source.compression = Compression::kGzip;
  if (source.compression != Compression::kNone) name = name.stem();
  const std::optional<SourceFormat> format = format_of(name);
  if (!format) return std::nullopt;
  source.format = *format;
  std::error_code error;
  source.num_bytes = static_cast<int64_t>(fs::file_size(path, error));
  LG_CHECK(!error, path.string(), ": its size cannot be read: ", error.message(), ".");
  return source;
}

void add_input(const fs::path& input, std::vector<Source>& sources) {
  const bool folder = fs::is_directory(input);
  std::vector<fs::path> left_out;
  bool found = false;
  for (const fs::path& path : corpus_files(input)) {
    std::optional<Source> source = classify(path);
    LG_CHECK(source || folder, path.string(), ": unknown kind of corpus file, expected ",
             kSourceEndings, ".");
    if (source) {
      sources.push_back(*std::move(source));
      found = true;
    } else {
      left_out.push_back(path);
    }
  }
  LG_CHECK(found, input.string(), ": no corpus file in this folder, expected ", kSourceEndings,
           ". Hidden files are left out.");
  if (!left_out.empty()) {
    const bool one = left_out.size() == 1;
    log_warning(input.string() + ": left out " +
                format_count(static_cast<int64_t>(left_out.size()), "file") +
                (one ? " with another ending: " : " with other endings, the first is ") +
                left_out.front().string());
  }
}

bool is_inside(const fs::path& path, const fs::path& folder) {
  const fs::path inner = fs::weakly_canonical(fs::absolute(path));
  const fs::path outer = fs::weakly_canonical(fs::absolute(folder));
  return std::mismatch(outer.begin(), outer.end(), inner.begin(), inner.end()).first == outer.end();
}

}  // namespace

std::vector<Source> expand_inputs(const std::vector<fs::path>& inputs) {
  LG_CHECK(!inputs.empty(), "[prepare] no input: expected at least one file or folder.");
  std::vector<Source> sources;
  for (const fs::path& input : inputs) add_input(input, sources);
  std::set<fs::path> seen;
  for (const Source& source : sources) {
    LG_CHECK(seen.insert(fs::weakly_canonical(source.path)).second, source.path.string(),
             ": this file comes twice among the inputs.");
  }
  return sources;
}

std::vector<Source> expand_inputs(const std::vector<fs::path>& inputs, const fs::path& output) {
  for (const fs::path& input : inputs) {
    LG_CHECK(!is_inside(output, input), output.string(), ": the output lies inside the input ",
             input.string(), ". Choose another place.");
  }
  std::vector<Source> sources = expand_inputs(inputs);
  for (const Source& source : sources) {
    LG_CHECK(!is_inside(source.path, output), source.path.string(), ": lies inside the output ",
             output.string(),
             ", which a link in the input leads to. Choose another place for the output.");
  }
  return sources;
}

}  // namespace longgen
