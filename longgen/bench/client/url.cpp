#include "longgen/bench/client/url.h"

#include <algorithm>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr std::string_view kScheme = "http://";

bool is_port(std::string_view text) {
  const bool has_digits = !text.empty() && text.size() <= 5 &&
                          text.find_first_not_of("0123456789") == std::string_view::npos;
  if (!has_digits) return false;
  const int port = std::stoi(std::string(text));
  return port >= 1 && port <= 65535;
}

bool is_plain(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 127; });
}

void remove_end(std::string& path, std::string_view end) {
  if (path.ends_with(end)) path.resize(path.size() - end.size());
}

}  // namespace

std::string ServerUrl::authority() const {
  const bool is_ipv6 = host.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + host + "]" : host) + ":" + port;
}

ServerUrl parse_server_url(std::string_view text) {
  const auto check = [&](bool is_right, const char* why) {
    LG_CHECK(is_right, "URL: expected http://HOST[:PORT][/PATH], found \"", text, "\"", why);
  };
  check(!text.starts_with("https://"),
        ". TLS is a proxy's business: give the address behind it, or a proxy on this machine.");
  check(text.starts_with(kScheme) && is_plain(text), ".");
  std::string_view rest = text.substr(kScheme.size());
  check(rest.find_first_of("?#@") == std::string_view::npos, ": no user, query or fragment.");
  const size_t slash = std::min(rest.find('/'), rest.size());
  std::string_view authority = rest.substr(0, slash);
  ServerUrl url{.host = "", .port = "80", .path = std::string(rest.substr(slash))};
  if (authority.starts_with("[")) {
    const size_t close = authority.find(']');
    check(close != std::string_view::npos, ": the bracket of the address is not closed.");
    url.host = authority.substr(1, close - 1);
    authority.remove_prefix(close + 1);
    check(authority.empty() || authority[0] == ':', ".");
  } else {
    url.host = authority.substr(0, authority.find(':'));
    authority.remove_prefix(url.host.size());
  }
  check(!url.host.empty(), ": the host is missing.");
  if (!authority.empty()) {
    url.port = authority.substr(1);
    check(is_port(url.port), ": the port is a number from 1 to 65535.");
  }
  remove_end(url.path, "/");
  remove_end(url.path, "/v1");
  return url;
}

}  // namespace longgen
