// bench/client/url.h: where a server is.
#pragma once

#include <string>
#include <string_view>

namespace longgen {

struct ServerUrl {
  std::string host, port;
  std::string path = {};  ///< before /v1, without a / at its end

  /// "host:port", with an IPv6 address in brackets: what the header Host says.
  std::string authority() const;
};

/// Reads "http://HOST[:PORT][/PATH]"; a /v1 at the end, which clients are used to give, may stand
/// there or not. Throws Error on anything else, and on https, which this program does not speak.
ServerUrl parse_server_url(std::string_view text);

}  // namespace longgen
