#include "longgen/cli/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 16;

}  // namespace

Output::~Output() {
  try {
    flush();
  } catch (...) {  // this may run because of an exception already
  }
}

void Output::write(std::string_view text) {
  buffer_.append(text);
  if (buffer_.size() >= kBufferBytes) flush();
}

void Output::flush() {
  std::string_view left = buffer_;
  while (!left.empty()) {
    const ssize_t put = ::write(STDOUT_FILENO, left.data(), left.size());
    if (put >= 0) {
      left.remove_prefix(static_cast<size_t>(put));
      continue;
    }
    if (errno == EINTR) continue;
    const int reason = errno;
    buffer_.clear();  // the destructor shall not try again
    if (reason == EPIPE) throw OutputClosed();
    LG_FAIL("stdout: cannot be written: ", std::strerror(reason), ".");
  }
  buffer_.clear();
}

}  // namespace longgen
