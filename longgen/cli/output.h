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

}  // namespace longgen
