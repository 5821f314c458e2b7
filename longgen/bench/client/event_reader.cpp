#include "longgen/bench/client/event_reader.h"

#include <algorithm>
#include <utility>

#include "longgen/base/check.h"

namespace longgen {

void EventReader::feed(std::string_view bytes) {
  if (begin_ == bytes_.size()) {
    bytes_.clear();
    begin_ = searched_ = 0;
  }
  LG_CHECK(
      static_cast<int64_t>(bytes_.size() - begin_ + data_.size() + bytes.size()) <= kMaxEventBytes,
      "an event of the stream is longer than ", kMaxEventBytes, " bytes.");
  bytes_.append(bytes);
}

/// A CR at the end of what is there waits: an LF behind it belongs to the same line.
std::optional<std::string_view> EventReader::take_line() {
  const size_t end = bytes_.find_first_of("\r\n", std::max(begin_, searched_));
  searched_ = std::min(end, bytes_.size());
  if (end == std::string::npos) return std::nullopt;
  const bool is_return = bytes_[end] == '\r';
  if (is_return && end + 1 == bytes_.size()) return std::nullopt;
  const std::string_view line = std::string_view(bytes_).substr(begin_, end - begin_);
  begin_ = end + (is_return && bytes_[end + 1] == '\n' ? 2 : 1);
  return line;
}

std::optional<std::string> EventReader::next() {
  while (const auto line = take_line()) {
    if (line->empty()) {
      if (!std::exchange(has_data_, false)) continue;
      return std::exchange(data_, {});
    }
    const size_t colon = std::min(line->find(':'), line->size());
    if (line->substr(0, colon) != "data") continue;
    std::string_view value = line->substr(std::min(colon + 1, line->size()));
    if (value.starts_with(" ")) value.remove_prefix(1);
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  }
  return std::nullopt;
}

}  // namespace longgen
