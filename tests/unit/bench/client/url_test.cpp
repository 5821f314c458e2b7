#include "longgen/bench/client/url.h"

#include <gtest/gtest.h>

#include "tests/unit/error_text.h"

namespace longgen {
namespace {

std::string parts(const std::string& text) {
  const ServerUrl url = parse_server_url(text);
  return url.host + "|" + url.port + "|" + url.path;
}

TEST(UrlTest, HostPortAndWhatStandsBeforeV1) {
  EXPECT_EQ(parts("http://127.0.0.1:8000"), "127.0.0.1|8000|");
  EXPECT_EQ(parts("http://127.0.0.1:8000/v1/"), "127.0.0.1|8000|");
  EXPECT_EQ(parts("http://gpu.example/team/v1"), "gpu.example|80|/team");
  EXPECT_EQ(parts("http://[::1]:9000/"), "::1|9000|");
  EXPECT_EQ(parse_server_url("http://[::1]:9000").authority(), "[::1]:9000");
}

TEST(UrlTest, WhatIsNoServersAddressIsRefused) {
  const auto refusal = [](const std::string& text) {
    return error_of([&] { parse_server_url(text); });
  };
  EXPECT_EQ(refusal("localhost:8000"),
            "URL: expected http://HOST[:PORT][/PATH], found \"localhost:8000\".");
  EXPECT_EQ(refusal("https://a"),
            "URL: expected http://HOST[:PORT][/PATH], found \"https://a\". TLS is a proxy's "
            "business: give the address behind it, or a proxy on this machine.");
  EXPECT_EQ(refusal("http://a:0"),
            "URL: expected http://HOST[:PORT][/PATH], found \"http://a:0\": the port is a number "
            "from 1 to 65535.");
  for (const char* text :
       {"", "http://", "http://:80", "http://a:", "http://a:99999", "http://[::1", "http://[::1]80",
        "http://me:pw@a", "http://a/?q", "http://a b", "http://a\r\nX: y"}) {
    EXPECT_NE(refusal(text), "") << text;
  }
}

}  // namespace
}  // namespace longgen
