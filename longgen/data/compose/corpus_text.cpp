#include "longgen/data/compose/corpus_text.h"

#include <algorithm>
#include <optional>

#include "longgen/base/check.h"
#include "longgen/base/progress.h"
#include "longgen/data/document_parser.h"
#include "longgen/data/record_reader.h"

namespace longgen {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n\v\f";
  const size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  // Spaces before the first word belong to it, as in verse; a first line without words does not.
  const size_t line = text.rfind('\n', begin);
  text.remove_prefix(line == std::string_view::npos ? 0 : line + 1);
  return text.substr(0, text.find_last_not_of(kSpace) + 1);
}

/// Hashes the hashes of parts, so that never more than one of them takes memory.
std::string hash_in_parts(std::string_view mapped) {
  constexpr size_t kPartBytes = size_t{16} << 20;
  std::string hashes;
  while (!mapped.empty()) {
    const std::string_view part = mapped.substr(0, kPartBytes);
    hashes += hash_hex(part);
    release_pages(part);
    mapped.remove_prefix(part.size());
  }
  return hash_hex(hashes);
}

}  // namespace

CorpusText::CorpusText(const std::vector<Source>& sources, const Options& options,
                       const fs::path& scratch) {
  const fs::path path = scratch / "corpus.txt";
  write(sources, options, path);
  file_ = std::make_unique<MappedFile>(path);
  std::error_code ignored;
  fs::remove(path, ignored);
  hash_ = hash_in_parts(bytes());
}

void CorpusText::write(const std::vector<Source>& sources, const Options& options,
                       const fs::path& path) {
  constexpr int64_t kMaxDocumentBytes = int64_t{1} << 30;
  int64_t total_bytes = 0;
  for (const Source& source : sources) total_bytes += source.num_bytes;
  std::optional<Progress> progress;
  if (options.show_progress) progress.emplace("read", total_bytes, "B", kBarOfSlowWork);
  AtomicFile file(path);
  RecordReader reader(sources, kMaxDocumentBytes);
  DocumentParser parser(sources, {.text = options.text_field});
  RecordBatch batch;
  std::vector<BadLine> bad;
  while (reader.next(batch)) {
    LG_CHECK(options.stop == nullptr || !*options.stop, "stopped while the corpus was read.");
    for (const Record& record : batch.records) {
      const std::string_view text = trimmed(parser.parse(batch, record, bad).text);
      LG_CHECK(bad.empty() || options.skip_bad,
               sources[static_cast<size_t>(bad.front().source)].path.string(), ":",
               bad.front().line, ": ", bad.front().reason,
               ". Pass --skip-bad to count and leave out such lines.");
      num_bad_lines_ += static_cast<int64_t>(bad.size());
      bad.clear();
      if (text.empty()) continue;
      if (num_documents_++ > 0) file.write(kBetweenDocuments);
      file.write(text);
    }
    if (progress) progress->update(batch.input_bytes);
  }
  LG_CHECK(num_documents_ > 0, sources.front().path.string(),
           ": expected at least one document with text in the corpus, found none in ",
           sources.size() == 1 ? "it." : "this and the other files.");
  file.commit();
  if (progress) progress->finish();
}

}  // namespace longgen
