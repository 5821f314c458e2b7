#include "longgen/data/record_reader.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr size_t kBatchBytes = size_t{1} << 20;
constexpr size_t kReadBytes = size_t{256} << 10;
constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

constexpr size_t kStartBytes = 8;  // enough for the marks that check_start() knows

/// These are beginnings that no corpus has, and what they are beginnings of.
constexpr std::pair<std::string_view, const char*> kPackedStarts[] = {
    {"\x1F\x8B", "gzip"},
    {"\x28\xB5\x2F\xFD", "Zstandard"},
    {"\3757zXZ", "xz"},
    {"PK\x03\x04", "zip"},
    {"PAR1\x15", "Parquet"}};

/// Finds UTF-16 and UTF-32 by byte order marks, or else by the zeros beside ASCII letters.
bool is_wide_text(std::string_view start) {
  if (start.starts_with("\xFF\xFE") || start.starts_with("\xFE\xFF")) return true;
  std::string zeros;
  for (const char c : start.substr(0, 4)) zeros += c == 0 ? '0' : 'x';
  return zeros == "x0x0" || zeros == "0x0x" || zeros == "x000" || zeros == "000x";
}

/// Refuses what would give only bad lines, or a text that is none.
void check_start(const Source& source, std::string_view start) {
  LG_CHECK(!is_wide_text(start), source.path.string(),
           ": expected UTF-8, found UTF-16 or UTF-32. Convert it: iconv -f UTF-16 -t UTF-8.");
  for (const auto& [mark, kind] : kPackedStarts) {
    LG_CHECK(!start.starts_with(mark), source.path.string(), ": expected text, found ", kind,
             " data. Unpack it, or where it is gzip or Zstandard name it .gz or .zst.");
  }
}

/// Returns the line without its end, "\n" or "\r\n".
std::string_view without_newline(std::string_view line) {
  if (line.ends_with('\n')) {
    line.remove_suffix(1);
    if (line.ends_with('\r')) line.remove_suffix(1);
  }
  return line;
}

bool is_separator(std::string_view line) {
  line = without_newline(line);
  // A last line without "\n" may still carry the "\r" of a file cut by hand.
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line == kDocumentSeparator;
}

}  // namespace

RecordReader::RecordReader(const std::vector<Source>& sources, int64_t max_record_bytes)
    : sources_(sources),
      max_record_bytes_(static_cast<size_t>(max_record_bytes)),
      buffer_(kReadBytes) {}

bool RecordReader::next(RecordBatch& batch) {
  batch.records.clear();
  batch.bytes.clear();
  batch.bytes.reserve(kBatchBytes + kReadBytes);
  while (batch.bytes.size() < kBatchBytes && batch.records.size() < kBatchBytes / 64) {
    if (stream_ == nullptr && !open_next()) break;
    if (!append_record(batch)) {
      finished_bytes_ += sources_[static_cast<size_t>(source_)].num_bytes;
      stream_.reset();
    }
  }
  batch.input_bytes = finished_bytes_ + (stream_ ? stream_->file_bytes_read() : 0);
  batch.bytes.append(RecordBatch::kPaddingBytes, '\0');
  return !batch.records.empty();
}

bool RecordReader::open_next() {
  if (source_ + 1 == static_cast<int64_t>(sources_.size())) return false;
  const Source& source = sources_[static_cast<size_t>(++source_)];
  stream_ = open_byte_stream(source.path, source.compression);
  line_ = 0;
  begin_ = end_ = 0;
  while (end_ < kStartBytes) {
    const size_t got = stream_->read(std::span(buffer_).subspan(end_));
    if (got == 0) break;
    end_ += got;
  }
  const std::string_view start(buffer_.data(), end_);
  check_start(source, start);
  if (start.starts_with(kByteOrderMark)) begin_ = kByteOrderMark.size();
  return true;
}

bool RecordReader::refill() {
  begin_ = 0;
  end_ = stream_->read(buffer_);
  return end_ > 0;
}

/// Appends the next line with its end. Of a line longer than max_bytes the rest is dropped (kCut).
RecordReader::Line RecordReader::append_line(std::string& out, size_t max_bytes) {
  if (begin_ == end_ && !refill()) return Line::kNone;
  ++line_;
  bool cut = false;
  size_t room = max_bytes;
  for (;;) {
    const char* const from = buffer_.data() + begin_;
    const void* const newline = std::memchr(from, '\n', end_ - begin_);
    const size_t piece = newline != nullptr
                             ? static_cast<size_t>(static_cast<const char*>(newline) - from) + 1
                             : end_ - begin_;
    out.append(from, std::min(piece, room));
    cut = cut || piece > room;
    room -= std::min(piece, room);
    begin_ += piece;
    if (newline != nullptr || (begin_ == end_ && !refill())) break;
  }
  return cut ? Line::kCut : Line::kWhole;
}

/// Appends the next record, if there is one in the line (an empty one has none). Returns false at
/// the end of the file.
bool RecordReader::append_record(RecordBatch& batch) {
  const bool text = sources_[static_cast<size_t>(source_)].format == SourceFormat::kText;
  return text ? append_text_record(batch) : append_json_record(batch);
}

bool RecordReader::append_json_record(RecordBatch& batch) {
  std::string& bytes = batch.bytes;
  const size_t start = bytes.size();
  const Line line = append_line(bytes, max_record_bytes_);
  if (line == Line::kNone) return false;
  const bool cut = line == Line::kCut;
  const bool blank = !cut && bytes.find_first_not_of(" \t\r\n", start) == std::string::npos;
  if (cut || blank) bytes.resize(start);
  if (!blank) {
    batch.records.push_back({source_, line_, static_cast<int64_t>(start),
                             static_cast<int64_t>(bytes.size() - start), cut});
  }
  return true;
}

bool RecordReader::append_text_record(RecordBatch& batch) {
  // A line that might be a separator is always read whole, however full the record is.
  constexpr size_t kSeparatorRoom = kDocumentSeparator.size() + 2;
  std::string& bytes = batch.bytes;
  const size_t start = bytes.size();
  Record record{source_, line_ + 1, static_cast<int64_t>(start), 0, false};
  Line line = Line::kNone;
  bool any_line = false;
  for (;;) {
    const size_t line_start = bytes.size(), used = line_start - start;
    line = append_line(bytes, std::max(max_record_bytes_ - used, kSeparatorRoom));
    if (line == Line::kNone) break;
    any_line = true;
    const std::string_view content = std::string_view(bytes).substr(line_start);
    if (line == Line::kWhole && is_separator(content)) {
      bytes.resize(line_start);
      break;
    }
    if (line == Line::kCut || bytes.size() - start > max_record_bytes_) record.too_large = true;
    if (record.too_large) bytes.resize(start);
  }
  bytes.resize(start + without_newline(std::string_view(bytes).substr(start)).size());
  record.num_bytes = static_cast<int64_t>(bytes.size() - start);
  if (any_line) batch.records.push_back(record);
  return line != Line::kNone;
}

}  // namespace longgen
