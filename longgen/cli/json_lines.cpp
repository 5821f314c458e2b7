#include "longgen/cli/json_lines.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string_view>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/units.h"

namespace longgen {
namespace {

constexpr size_t kReadBytes = size_t{1} << 16;

}  // namespace

JsonLines::JsonLines(std::function<void()> before_wait) : before_wait_(std::move(before_wait)) {}

std::optional<Json> JsonLines::next() {
  std::string_view line;
  while (take_line(line)) {
    ++line_;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Json value = parse_json(line, place());
    JsonObject(value, place());  // throws unless it is an object
    return value;
  }
  return std::nullopt;
}

bool JsonLines::take_line(std::string_view& line) {
  for (;;) {
    const size_t found = buffer_.find('\n', searched_);
    const size_t end = found == std::string::npos ? buffer_.size() : found;
    LG_CHECK(end - begin_ <= static_cast<size_t>(kMaxLineBytes), "stdin:", line_ + 1,
             ": expected a line of at most ", format_bytes(kMaxLineBytes),
             ", found a longer one. Divide the text.");
    if (found != std::string::npos || (at_end_ && end > begin_)) {
      line = std::string_view(buffer_).substr(begin_, end - begin_);
      begin_ = searched_ = found == std::string::npos ? end : found + 1;
      return true;
    }
    if (at_end_) return false;
    searched_ = end;
    fill();
  }
}

/// Reads some more of stdin into the buffer.
void JsonLines::fill() {
  buffer_.erase(0, begin_);
  searched_ -= std::exchange(begin_, 0);
  const size_t size = buffer_.size();
  before_wait_();
  buffer_.resize(size + kReadBytes);
  ssize_t got = 0;
  do {
    got = ::read(STDIN_FILENO, buffer_.data() + size, kReadBytes);
  } while (got < 0 && errno == EINTR);
  const std::string reason = got < 0 ? std::strerror(errno) : "";
  buffer_.resize(size + static_cast<size_t>(std::max<ssize_t>(got, 0)));
  LG_CHECK(got >= 0, "stdin: cannot be read: ", reason, ".");
  at_end_ = got == 0;
}

}  // namespace longgen
