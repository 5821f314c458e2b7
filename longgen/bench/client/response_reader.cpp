#include "longgen/bench/client/response_reader.h"

#include <boost/beast/http/basic_parser.hpp>
#include <limits>
#include <utility>

#include "longgen/base/check.h"

namespace longgen {
namespace {

namespace beast = boost::beast;
using beast::error_code;
using beast::http::field;

}  // namespace

class ResponseReader::Parser final : public beast::http::basic_parser<false> {
 public:
  Parser() {
    header_limit(kMaxHeadBytes);
    body_limit(std::numeric_limits<std::uint64_t>::max());  // it is read as it comes
  }
  const ResponseHead& head() const { return head_; }
  bool is_interim() const { return head_.status >= 100 && head_.status < 200; }
  std::string& body() { return body_; }

 private:
  void on_request_impl(beast::http::verb, beast::string_view, beast::string_view, int,
                       error_code&) override {}
  void on_response_impl(int status, beast::string_view, int, error_code&) override {
    head_.status = status;
  }
  void on_field_impl(field name, beast::string_view, beast::string_view value,
                     error_code&) override {
    const std::string_view text(value.data(), value.size());
    if (name == field::content_type) head_.content_type = text;
    if (name == field::server) head_.server = text;
  }
  void on_header_impl(error_code&) override {}
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

  ResponseHead head_;
  std::string body_;
};

ResponseReader::ResponseReader() : parser_(std::make_unique<Parser>()) {}
ResponseReader::~ResponseReader() = default;

bool ResponseReader::has_head() const {
  return parser_->is_header_done() && !parser_->is_interim();
}
bool ResponseReader::is_done() const { return has_head() && parser_->is_done(); }
const ResponseHead& ResponseReader::head() const { return parser_->head(); }
std::string ResponseReader::take_body() { return std::exchange(parser_->body(), {}); }

void ResponseReader::feed(std::string_view bytes) {
  left_.append(bytes);
  size_t used = 0;
  while (used < left_.size() && !is_done()) {
    error_code error;
    const size_t taken = parser_->put({left_.data() + used, left_.size() - used}, error);
    used += taken;
    if (error == beast::http::error::need_more) break;
    LG_CHECK(!error, "what the server sent is no HTTP response: ", error.message(), ".");
    if (parser_->is_done() && parser_->is_interim()) parser_ = std::make_unique<Parser>();
  }
  left_.erase(0, used);
  LG_CHECK(std::ssize(left_) <= kMaxHeadBytes,
           "what the server sent is no HTTP response: no end of a line in ", kMaxHeadBytes,
           " bytes.");
}

void ResponseReader::end() {
  if (is_done()) return;
  error_code error;
  if (has_head()) parser_->put_eof(error);
  LG_CHECK(is_done() && !error, "the connection ended ",
           has_head() ? "in the middle of the answer." : "before an answer began.");
}

}  // namespace longgen
