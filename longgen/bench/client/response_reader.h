// bench/client/response_reader.h: the bytes of a connection to one HTTP/1 response; no sockets.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace longgen {

struct ResponseHead {
  int status = 0;
  std::string content_type = {}, server = {};
};

/// Reads one response with a body of a named length, in chunks, or up to the connection's end.
/// Bytes may come in any pieces; "100 Continue" before it is skipped.
class ResponseReader {
 public:
  static constexpr int64_t kMaxHeadBytes = 64 << 10;

  ResponseReader();
  ~ResponseReader();

  /// Throws Error on what is no HTTP response.
  void feed(std::string_view bytes);
  /// The connection has ended. Throws Error where the response had not.
  void end();

  bool has_head() const;
  bool is_done() const;
  const ResponseHead& head() const;
  /// Returns what came of the body since the last call.
  std::string take_body();

 private:
  class Parser;
  std::unique_ptr<Parser> parser_;
  std::string left_;  // bytes that the parser wants to see again with more behind them
};

}  // namespace longgen
