// bench/client/event_reader.h: the bytes of a stream to server-sent events.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace longgen {

/// Reads text/event-stream as the HTML standard describes it (section 9.2): lines end in LF, CR or
/// both, an empty line ends an event, `data` lines are joined by LF, comments and other fields are
/// skipped. Bytes may come in any pieces.
class EventReader {
 public:
  static constexpr int64_t kMaxEventBytes = int64_t{16} << 20;

  /// Throws Error where an event is longer than kMaxEventBytes.
  void feed(std::string_view bytes);
  /// Returns the data of the next event that has some, or nothing until more bytes have come.
  std::optional<std::string> next();

 private:
  std::optional<std::string_view> take_line();

  std::string bytes_;
  size_t begin_ = 0;     // of what was not read yet
  size_t searched_ = 0;  // no line ends between begin_ and here
  std::string data_;     // of the event that is read
  bool has_data_ = false;
};

}  // namespace longgen
