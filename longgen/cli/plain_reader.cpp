#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "longgen/base/check.h"
#include "longgen/cli/interrupt.h"
#include "longgen/cli/line_reader.h"
#include "longgen/cli/prompt_text.h"

namespace longgen {
namespace {

class PlainReader : public LineReader {
 public:
  ReadEvent read(std::string& line) override {
    size_t end;
    while ((end = pending_.find('\n')) == std::string::npos && !ended_) {
      if (!wait_for_stdin()) return ReadEvent::interrupted;
      read_some();
    }
    if (end == std::string::npos && pending_.empty()) return ReadEvent::end;
    line = pending_.substr(0, end);
    pending_.erase(0, end == std::string::npos ? end : end + 1);
    if (line.ends_with('\r')) line.pop_back();
    if (first_) line = prompt_text(std::move(line), "stdin");
    first_ = false;
    return ReadEvent::line;
  }

 private:
  void read_some() {
    std::array<char, 1 << 14> bytes;
    const ssize_t got = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) return;
    LG_CHECK(got >= 0, "stdin: cannot be read: ", std::strerror(errno), ".");
    ended_ = got == 0;
    pending_.append(bytes.data(), static_cast<size_t>(got));
  }

  std::string pending_;
  bool first_ = true, ended_ = false;
};

}  // namespace

std::unique_ptr<LineReader> make_plain_reader() { return std::make_unique<PlainReader>(); }

}  // namespace longgen
