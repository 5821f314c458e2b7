// cli/json_lines.h: JSON lines on stdin, for commands that answer each with a line.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "longgen/base/json.h"

namespace longgen {

class JsonLines {
 public:
  static constexpr int64_t kMaxLineBytes = int64_t{1} << 30;

  /// Reads stdin. Calls `before_wait` whenever the next line is not at hand: there a filter flushes
  /// its output, so that a program which waits for each answer gets it, while a long file is still
  /// written in large parts.
  explicit JsonLines(std::function<void()> before_wait);

  /// Returns the object on the next line that is not blank, and nothing at the end. The last line
  /// needs no line break. It holds the longest line, its JSON, and 64 KiB in memory. Throws Error
  /// naming the line when it is no JSON object, has a key twice, or is longer than kMaxLineBytes.
  std::optional<Json> next();

  /// Returns "stdin:3" for messages about the line that next() gave.
  std::string place() const { return "stdin:" + std::to_string(line_); }

 private:
  void fill();
  /// Gives the next line, valid until the next call; returns false at the end.
  bool take_line(std::string_view& line);

  std::function<void()> before_wait_;
  std::string buffer_;
  size_t begin_ = 0;     // of what has not been given out
  size_t searched_ = 0;  // up to here there is no line break after begin_
  bool at_end_ = false;
  int64_t line_ = 0;
};

}  // namespace longgen
