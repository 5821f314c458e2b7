#include "longgen/data/compose/growing_output.h"

#include <zstd.h>

#include <utility>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr const char* kSettings = "settings.json";
constexpr const char* kLines = "lines";

/// Returns the bytes of the whole line that the text starts with; 0: none. After a machine that
/// went off, zeros may stand in place of what was written last.
size_t line_bytes(std::string_view text) {
  const size_t end = text.find('\n');
  if (end == std::string_view::npos || text[0] != '{' || text[end - 1] != '}') return 0;
  return end + 1;
}

size_t frame_bytes(std::string_view bytes) {
  const size_t size = ZSTD_findFrameCompressedSize(bytes.data(), bytes.size());
  return ZSTD_isError(size) != 0 ? 0 : size;
}

void check_same(const OrderedJson& wanted, const fs::path& path, const fs::path& folder) {
  const Json found = parse_json(read_file(path), path.string());
  for (const auto& [key, value] : wanted.items()) {
    const Json there = found.is_object() && found.contains(key) ? found[key] : Json();
    LG_CHECK(there == Json(value), path.string(), ": the documents there were composed with ", key,
             " ", dump_json(there), ", not ", dump_json(value),
             ". Call it again as it was called then, or remove ", folder.string(),
             " to begin anew.");
  }
}

}  // namespace

GrowingOutput::GrowingOutput(fs::path target, bool replace)
    : target_(std::move(target)),
      folder_(target_.string() + ".partial"),
      zstd_(target_.extension() == ".zst") {
  LG_CHECK(!fs::is_directory(target_), target_.string(), ": expected a file, found a folder.");
  LG_CHECK(replace || !fs::exists(target_), target_.string(),
           ": exists already. Choose another name or pass --force to replace it.");
  make_folder(folder_);
  lock_ = std::make_unique<FolderLock>(folder_);
  LG_CHECK(!lock_->held_by_another(), target_.string(),
           ": is being written by another process, in ", folder_.string(),
           ". Wait for it, or choose another name.");
  if (!lock_->held()) return;  // no locks here: what else stands there may be a living process's
  for (const auto& entry : fs::directory_iterator(folder_)) {
    const fs::path name = entry.path().filename();
    if (name != kSettings && name != kLines) fs::remove_all(entry.path());
  }
}

GrowingOutput::~GrowingOutput() {
  std::error_code ignored;
  if (file_ && num_lines_ == 0) {
    fs::remove(folder_ / kLines, ignored);
    fs::remove(folder_ / kSettings, ignored);
  }
  fs::remove(folder_, ignored);  // only when it is empty
}

void GrowingOutput::open(const OrderedJson& settings, int64_t max_lines) {
  const fs::path path = folder_ / kSettings;
  if (fs::exists(path)) {
    check_same(settings, path, folder_);
  } else {
    write_file(path, dump_json(settings, 2) + "\n");
  }
  const fs::path lines = folder_ / kLines;
  if (fs::exists(lines)) {
    std::error_code error;
    fs::resize_file(lines, whole_lines(lines, max_lines), error);
    LG_CHECK(!error, lines.string(), ": cannot be cut to its whole lines: ", error.message(), ".");
  }
  file_.emplace(lines, AppendFile::Start::append);
}

/// Counts the whole lines, and returns the bytes that they take.
uintmax_t GrowingOutput::whole_lines(const fs::path& path, int64_t max_lines) {
  const MappedFile lines(path);
  num_lines_ = 0;
  std::string_view rest = lines.bytes();
  while (!rest.empty() && num_lines_ < max_lines) {
    const size_t size = zstd_ ? frame_bytes(rest) : line_bytes(rest);
    if (size == 0) break;
    rest.remove_prefix(size);
    ++num_lines_;
  }
  return lines.bytes().size() - rest.size();
}

std::string GrowingOutput::packed(std::string line) const {
  constexpr int kLevel = 3;
  if (!zstd_) return line;
  std::string frame(ZSTD_compressBound(line.size()), '\0');
  const size_t size = ZSTD_compress(frame.data(), frame.size(), line.data(), line.size(), kLevel);
  LG_CHECK(ZSTD_isError(size) == 0, target_.string(),
           ": a line cannot be packed: ", ZSTD_getErrorName(size), ".");
  frame.resize(size);
  return frame;
}

void GrowingOutput::append(std::string_view packed) {
  file_->append(packed);
  ++num_lines_;
}

void GrowingOutput::commit() {
  file_.reset();
  sync_path(folder_ / kLines);
  std::error_code error;
  fs::rename(folder_ / kLines, target_, error);
  LG_CHECK(!error, target_.string(), ": cannot be put in place: ", error.message(), ".");
  sync_path(target_.has_parent_path() ? target_.parent_path() : fs::path("."));
  fs::remove_all(folder_, error);
}

}  // namespace longgen
