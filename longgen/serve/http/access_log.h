// serve/http/access_log.h: what was asked and answered, a line of JSON a request, never with a
// body.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "longgen/base/append_file.h"

namespace longgen::http {

using Notes = std::vector<std::pair<std::string, int64_t>>;

struct AccessRecord {
  std::chrono::system_clock::time_point time = {};  ///< when the request's first byte came
  std::string client, key_name, method, path, traceparent;
  int status = 0;        ///< 499 where the client went before an answer began
  bool is_gone = false;  ///< the client went before the answer's end
  int64_t bytes = 0;     ///< of the answer's body, as far as the system took them
  double seconds = 0;    ///< from the request's first byte to the answer's last one
  Notes notes = {};      ///< what the handler adds
};

/// Writes the record as JSON and a line's end.
std::string access_line(const AccessRecord& record);

/// A file of such lines, to which they are appended; may be used by several threads. Where the file
/// was moved, removed or emptied, as programs that rotate logs do, the next line begins a new one.
/// A full disk costs lines and not the server: it warns when the first line is lost, and says how
/// many were when one can be written again.
class AccessLogFile {
 public:
  /// Throws Error naming the file where it cannot be written.
  explicit AccessLogFile(fs::path path);
  void write(const AccessRecord& record);

 private:
  void open();
  bool is_current() const;

  const fs::path path_;
  std::mutex mutex_;
  std::unique_ptr<AppendFile> file_;
  uint64_t device_ = 0, inode_ = 0;
  int64_t size_ = 0, num_lost_ = 0;
};

}  // namespace longgen::http
