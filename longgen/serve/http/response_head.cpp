#include "longgen/serve/http/response_head.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

namespace longgen::http {
namespace {

const char* reason_of(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 422:
      return "Unprocessable Content";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    default:
      return "Status";
  }
}

void add(std::string& text, const std::string& name, const std::string& value) {
  text += name + ": ";
  for (const char c : value) text += (c >= 0 && c < ' ') || c == 127 ? ' ' : c;
  text += "\r\n";
}

bool has_body(int status) { return status >= 200 && status != 204 && status != 304; }

}  // namespace

std::string written_head(const ResponseHead& head, const ResponseForm& form) {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\n", head.status, reason_of(head.status));
  add(text, "Date", fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(std::time(nullptr))));
  if (!head.content_type.empty()) add(text, "Content-Type", head.content_type);
  if (head.length && has_body(head.status))
    add(text, "Content-Length", std::to_string(*head.length));
  if (!head.length) {
    add(text, "Cache-Control", "no-cache");
    add(text, "X-Accel-Buffering", "no");
  }
  if (form.is_chunked(head)) add(text, "Transfer-Encoding", "chunked");
  if (!form.keeps_alive) add(text, "Connection", "close");
  if (form.keeps_alive && form.is_http_1_0) add(text, "Connection", "keep-alive");
  for (const auto& [name, value] : head.headers) add(text, name, value);
  return text + "\r\n";
}

std::string make_chunk(std::string& bytes, bool is_last) {
  std::string before = bytes.empty() ? "" : fmt::format("{:x}\r\n", bytes.size());
  if (!bytes.empty()) bytes += "\r\n";
  if (is_last) bytes += "0\r\n\r\n";
  return before;
}

}  // namespace longgen::http
