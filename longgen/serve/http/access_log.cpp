#include "longgen/serve/http/access_log.h"

#include <fmt/chrono.h>
#include <sys/stat.h>

#include <cmath>

#include "longgen/base/error.h"
#include "longgen/base/json.h"
#include "longgen/base/log.h"
#include "longgen/base/units.h"
#include "longgen/serve/openai/shown.h"

namespace longgen::http {
namespace {

// A stranger's path may be as long as a header.
constexpr size_t kMaxTextBytes = 256;

std::string written_time(std::chrono::system_clock::time_point time) {
  const auto since = std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch());
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                     fmt::gmtime(std::chrono::system_clock::to_time_t(time)), since.count() % 1000);
}

void add_text(OrderedJson& line, const std::string& name, const std::string& text) {
  if (!text.empty()) line[name] = openai::shortened(text, kMaxTextBytes);
}

}  // namespace

std::string access_line(const AccessRecord& record) {
  OrderedJson line = {{"time", written_time(record.time)}};
  add_text(line, "client", record.client);
  add_text(line, "key", record.key_name);
  add_text(line, "method", record.method);
  add_text(line, "path", record.path);
  line["status"] = record.status;
  if (record.is_gone) line["gone"] = true;
  line["bytes"] = record.bytes;
  line["seconds"] = std::round(record.seconds * 1e6) / 1e6;
  add_text(line, "traceparent", record.traceparent);
  for (const auto& [name, value] : record.notes) line[name] = value;
  return dump_json(line) + "\n";
}

AccessLogFile::AccessLogFile(fs::path path) : path_(std::move(path)) { open(); }

void AccessLogFile::open() {
  file_ = std::make_unique<AppendFile>(path_, AppendFile::Start::append);
  struct stat info = {};
  ::stat(path_.c_str(), &info);
  device_ = info.st_dev;
  inode_ = info.st_ino;
  size_ = info.st_size;
}

bool AccessLogFile::is_current() const {
  struct stat info = {};
  return ::stat(path_.c_str(), &info) == 0 && info.st_dev == device_ && info.st_ino == inode_ &&
         info.st_size >= size_;
}

void AccessLogFile::write(const AccessRecord& record) {
  const std::string line = access_line(record);
  const std::lock_guard lock(mutex_);
  try {
    if (!is_current()) open();
    file_->append(line);
    size_ += static_cast<int64_t>(line.size());
  } catch (const Error& error) {
    if (num_lost_++ == 0) log_warning(std::string("access log: ") + error.what());
    return;
  }
  if (num_lost_ == 0) return;
  log_warning("access log: written again; " + format_count(num_lost_, "line") + " are missing.");
  num_lost_ = 0;
}

}  // namespace longgen::http
