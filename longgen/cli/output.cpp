#include "longgen/cli/output.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "longgen/base/check.h"
#include "longgen/tokenizer/utf8.h"

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

void print_error(std::string_view message) {
  std::string text = replace_invalid_utf8(message);
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n') || byte == 0x7F) c = '?';
  }
  std::fprintf(stderr, "longgen: error: %s\n", text.c_str());
}

}  // namespace longgen
