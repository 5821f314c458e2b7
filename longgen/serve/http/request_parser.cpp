#include "longgen/serve/http/request_parser.h"

#include <algorithm>
#include <array>
#include <boost/beast/http/basic_parser.hpp>
#include <utility>

#include "longgen/base/ascii.h"
#include "longgen/serve/openai/api_error.h"
#include "longgen/serve/openai/shown.h"

namespace longgen::http {
namespace {

namespace beast = boost::beast;
using beast::error_code;
using beast::http::field;
using openai::ApiError;

[[noreturn]] void refuse(const std::string& why) {
  throw ApiError(400, "HTTP request: " + why, "", "invalid_http_request");
}

[[noreturn]] void refuse_head(int64_t limit) {
  throw ApiError(431,
                 "HTTP request: expected a request line and headers of at most " +
                     std::to_string(limit) + " bytes.",
                 "", "headers_too_large");
}

[[noreturn]] void refuse_body(int64_t limit) {
  throw ApiError(413,
                 "HTTP request: expected a body of at most " + std::to_string(limit) + " bytes.",
                 "", "body_too_large");
}

std::string_view view(beast::string_view text) { return {text.data(), text.size()}; }

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

std::string decode_path(std::string_view path) {
  std::string decoded;
  for (size_t i = 0; i < path.size(); ++i) {
    if (path[i] != '%') {
      decoded += path[i];
      continue;
    }
    const int high = i + 1 < path.size() ? hex_digit(path[i + 1]) : -1;
    const int low = i + 2 < path.size() ? hex_digit(path[i + 2]) : -1;
    const int byte = high * 16 + low;
    if (high < 0 || low < 0 || byte < ' ' || byte == 127) {
      refuse("expected two hexadecimal digits of a visible character after each % of the path.");
    }
    decoded += static_cast<char>(byte);
    i += 2;
  }
  return decoded;
}

// Beast waits for the end of a head that came in parts before it reads it, and puts lines together
// of which the second begins with a space, which other readers take for a header of its own. The
// first byte is that of a line.
void check_lines(std::string_view bytes) {
  if (bytes.substr(0, 2) == "\r\n") return;  // the end of the head; behind it stands a body
  const std::string_view head = bytes.substr(0, bytes.find("\r\n\r\n"));
  for (size_t i = 0; i < head.size(); ++i) {
    const bool is_last = i + 1 == head.size();
    const bool is_return = head[i] == '\r', is_feed = head[i] == '\n';
    if ((is_return && !is_last && head[i + 1] != '\n') ||
        (is_feed && (i == 0 || head[i - 1] != '\r'))) {
      refuse("expected lines that end in CR LF.");
    }
    if (is_feed && !is_last && (head[i + 1] == ' ' || head[i + 1] == '\t')) {
      refuse("expected each header on one line.");
    }
  }
}

// A target is "/path?query", "http://host/path?query" as a proxy sends it, or "*".
void read_target(std::string_view target, RequestHead& head) {
  const std::string_view whole = target;
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (ascii_lower(target.substr(0, scheme.size())) != scheme) continue;
    target.remove_prefix(std::min(target.find_first_of("/?", scheme.size()), target.size()));
    if (target.empty()) target = "/";
  }
  const bool is_asterisk = target == "*" && head.method == "OPTIONS";
  if (!is_asterisk && (target.empty() || (target[0] != '/' && target.size() == whole.size()))) {
    refuse("expected a path that begins with /, found \"" + openai::shortened(whole) + "\".");
  }
  const size_t mark = std::min(target.find('?'), target.size());
  head.path = decode_path(target.substr(0, mark));
  if (head.path.empty()) head.path = "/";
  head.query = target.substr(std::min(mark + 1, target.size()));
}

}  // namespace

/// Beast's parser with what it leaves open decided: see the class above.
class RequestParser::Reader final : public beast::http::basic_parser<true> {
 public:
  explicit Reader(const RequestLimits& limits) : limits_(limits) {
    header_limit(static_cast<std::uint32_t>(limits.header_bytes));
    body_limit(static_cast<std::uint64_t>(limits.body_bytes));
  }

  size_t feed(std::string_view bytes);
  const RequestHead& head() const { return head_; }
  const std::string& body() const { return body_; }
  std::string take_body() { return std::move(body_); }

 private:
  // Fields of which a second one would leave open which counts.
  enum Single { authorization, content_length, host, transfer_encoding, expect, num_singles };

  void see_once(Single which, const char* name) {
    if (std::exchange(seen_[which], true)) refuse(std::string("expected one header ") + name + ".");
  }
  void check_room(size_t size);
  [[noreturn]] void fail(const error_code& error) const;
  void read_field(field name, std::string_view value);
  void check_head();

  void on_request_impl(beast::http::verb, beast::string_view method, beast::string_view target,
                       int version, error_code&) override {
    head_.method = view(method);
    head_.is_http_1_0 = version == 10;
    read_target(view(target), head_);
  }
  void on_field_impl(field name, beast::string_view written, beast::string_view value,
                     error_code&) override {
    // Behind the chunks of a body stand fields that nobody here reads.
    if (is_header_done_) return;
    if (name == field::unknown && ascii_lower(view(written)) == "traceparent") {
      head_.traceparent = view(value);
    }
    read_field(name, view(value));
  }
  void on_header_impl(error_code&) override {
    is_header_done_ = true;
    check_head();
  }
  void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
  std::size_t on_body_impl(beast::string_view bytes, error_code&) override {
    body_.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_chunk_header_impl(std::uint64_t, beast::string_view, error_code&) override {}
  std::size_t on_chunk_body_impl(std::uint64_t, beast::string_view bytes, error_code&) override {
    body_.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_finish_impl(error_code&) override {}
  // Beast asks for it, though only answers have a status.
  void on_response_impl(int, beast::string_view, int, error_code&) override {}

  RequestLimits limits_;
  RequestHead head_;
  std::string body_;
  std::array<bool, num_singles> seen_ = {};
  bool has_skipped_line_ = false, is_header_done_ = false;
  int64_t head_bytes_ = 0;
};

void RequestParser::Reader::read_field(field name, std::string_view value) {
  switch (name) {
    case field::authorization:
      see_once(authorization, "Authorization");
      head_.authorization = value;
      return;
    case field::host:
      see_once(host, "Host");
      return;
    case field::content_length:
      see_once(content_length, "Content-Length");
      if (value.find_first_not_of("0123456789") != std::string_view::npos) {
        refuse("Content-Length: expected a number of bytes.");
      }
      return;
    case field::transfer_encoding:
      see_once(transfer_encoding, "Transfer-Encoding");
      if (ascii_lower(value) != "chunked" || head_.is_http_1_0) {
        refuse("Transfer-Encoding: expected \"chunked\", in HTTP/1.1; found \"" +
               openai::shortened(value) + "\".");
      }
      return;
    case field::expect:
      see_once(expect, "Expect");
      if (ascii_lower(value) != "100-continue") {
        throw ApiError(417, "HTTP request: Expect: expected \"100-continue\".", "",
                       "invalid_http_request");
      }
      head_.expects_continue = !head_.is_http_1_0;
      return;
    case field::user_agent:
      head_.user_agent = value;
      return;
    case field::if_none_match:
      head_.if_none_match += (head_.if_none_match.empty() ? "" : ", ") + std::string(value);
      return;
    default:
      return;
  }
}

void RequestParser::Reader::check_head() {
  if (!head_.is_http_1_0 && !seen_[host]) refuse("HTTP/1.1 needs a header Host.");
  head_.keeps_alive = keep_alive();
}

// What cannot be read yet waits in the caller's buffer, which must not grow without end.
void RequestParser::Reader::check_room(size_t size) {
  if (static_cast<int64_t>(size) < limits_.header_bytes) return;
  if (!is_header_done_) refuse_head(limits_.header_bytes);
  refuse(
      "expected a chunk's size and extensions, and the fields behind the last chunk, of at most " +
      std::to_string(limits_.header_bytes) + " bytes.");
}

void RequestParser::Reader::fail(const error_code& error) const {
  using Error = beast::http::error;
  if (error == Error::header_limit) refuse_head(limits_.header_bytes);
  if (error == Error::body_limit) refuse_body(limits_.body_bytes);
  if (error == Error::bad_content_length || error == Error::bad_transfer_encoding) {
    refuse(
        "expected one Content-Length, a number of bytes, or Transfer-Encoding: chunked, not both.");
  }
  refuse(error.message() + ".");
}

size_t RequestParser::Reader::feed(std::string_view bytes) {
  // Some clients send an empty line behind a body, which is not counted in its length.
  if (!got_some() && !has_skipped_line_) {
    if (bytes == "\r") return 0;
    has_skipped_line_ = bytes.substr(0, 2) == "\r\n";
    if (has_skipped_line_) return 2;
  }
  if (!is_header_done_) check_lines(bytes);
  size_t used = 0;
  while (used < bytes.size() && !is_done()) {
    const bool was_header_done = is_header_done_;
    error_code error;
    const size_t taken = put({bytes.data() + used, bytes.size() - used}, error);
    used += taken;
    if (!was_header_done) {
      head_bytes_ += static_cast<int64_t>(taken);
      if (head_bytes_ > limits_.header_bytes) refuse_head(limits_.header_bytes);
    }
    if (error == beast::http::error::need_more) {
      check_room(bytes.size() - used + (is_header_done_ ? 0 : static_cast<size_t>(head_bytes_)));
      break;
    }
    if (error) fail(error);
    if (!was_header_done && is_header_done_) break;
  }
  return used;
}

RequestParser::RequestParser(const RequestLimits& limits)
    : reader_(std::make_unique<Reader>(limits)) {}
RequestParser::~RequestParser() = default;

size_t RequestParser::feed(std::string_view bytes) { return reader_->feed(bytes); }
bool RequestParser::has_head() const { return reader_->is_header_done(); }
bool RequestParser::is_done() const { return reader_->is_done(); }
const RequestHead& RequestParser::head() const { return reader_->head(); }
int64_t RequestParser::body_bytes() const { return static_cast<int64_t>(reader_->body().size()); }
std::string RequestParser::take_body() { return reader_->take_body(); }

}  // namespace longgen::http
