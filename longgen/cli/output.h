// cli/output.h: results on stdout.
#pragma once

#include <string>
#include <string_view>

namespace longgen {

/// Thrown when nobody reads stdout any more (`longgen ... | head`). Not an error: the program ends
/// with exit code 0 and no message.
struct OutputClosed {};

/// Buffered stdout whose failures are noticed. Throws OutputClosed, or Error when stdout cannot be
/// written (a full disk).
class Output {
 public:
  Output() = default;
  /// Writes what is still buffered, without reporting failures: call flush() at the end.
  ~Output();
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  void write(std::string_view text);
  void flush();

 private:
  std::string buffer_;
};

/// "longgen: error: MESSAGE" on stderr. Messages may quote what stands in files from outside: bytes
/// that are not UTF-8 become U+FFFD and control characters but line breaks become '?', so that none
/// reaches the terminal.
void print_error(std::string_view message);

}  // namespace longgen
