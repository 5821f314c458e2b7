// request_parser_test.cpp: bytes to requests, without sockets.
#include "longgen/serve/http/request_parser.h"

#include <algorithm>
#include <random>
#include <vector>

#include "longgen/serve/openai/api_error.h"
#include "tests/unit/error_text.h"

namespace longgen::http {
namespace {

using namespace std::string_literals;

constexpr RequestLimits kLimits{.header_bytes = 1024, .body_bytes = 4096};

/// What became of bytes: as one text, to be compared.
struct Outcome {
  int status = 0;  ///< 0: more bytes are needed; 200: a request; else that of the error
  std::string text = {};
  size_t used = 0;

  bool operator==(const Outcome& other) const = default;
};

/// Reads one request from bytes that come in parts of `step`.
Outcome read(std::string_view bytes, size_t step) {
  RequestParser parser(kLimits);
  std::string waiting;
  size_t used = 0;
  try {
    for (size_t at = 0; at < bytes.size() && !parser.is_done(); at += step) {
      waiting += bytes.substr(at, step);
      for (size_t taken = 1; taken > 0 && !waiting.empty() && !parser.is_done();) {
        taken = parser.feed(waiting);
        waiting.erase(0, taken);
        used += taken;
      }
    }
  } catch (const openai::ApiError& error) {
    return {error.status(), error.what()};
  }
  if (!parser.is_done()) return {};
  const RequestHead& head = parser.head();
  return {200, head.method + " " + head.path + " " + head.query + " " + parser.take_body(), used};
}

Outcome read(std::string_view bytes) { return read(bytes, bytes.size()); }

std::string with_headers(const std::string& headers) {
  return "POST /a HTTP/1.1\r\nHost: x\r\n" + headers + "\r\n";
}

TEST(RequestParser, ReadsRequests) {
  EXPECT_EQ(read("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET").text, "GET /  ");
  EXPECT_EQ(read("GET / HTTP/1.1\r\nHost: x\r\n\r\nGET").used, 27u);
  EXPECT_EQ(read("\r\nGET /a?b?c HTTP/1.0\r\n\r\n").text, "GET /a b?c ");
  EXPECT_EQ(read("GET http://host:80 HTTP/1.0\r\n\r\n").text, "GET /  ");
  EXPECT_EQ(read("GET HTTP://host?q HTTP/1.0\r\n\r\n").text, "GET / q ");
  EXPECT_EQ(read("OPTIONS * HTTP/1.0\r\n\r\n").text, "OPTIONS *  ");
  EXPECT_EQ(read("GET /%41%c3%A9 HTTP/1.0\r\n\r\n").text, "GET /A\xC3\xA9  ");
  EXPECT_EQ(read(with_headers("Content-Length: 3\r\n") + "abcd").text, "POST /a  abc");
  EXPECT_EQ(read(with_headers("transfer-encoding: Chunked\r\n") + "1\r\na\r\n0\r\n\r\n").text,
            "POST /a  a");
  EXPECT_EQ(read(with_headers("Content-Length: 0\r\n")).text, "POST /a  ");
}

TEST(RequestParser, RefusesWhatCouldBeReadInTwoWays) {
  for (const std::string& bytes : {
           with_headers("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
           with_headers("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
           with_headers("Content-Length: 3\r\nContent-Length: 3\r\n"),
           with_headers("Content-Length: 3, 3\r\n"),
           with_headers("Content-Length: +3\r\n"),
           with_headers("Content-Length: -1\r\n"),
           with_headers("Content-Length: 1.5\r\n"),
           with_headers("Content-Length: 0x3\r\n"),
           with_headers("Content-Length: \r\n"),
           with_headers("Content-Length: 99999999999999999999\r\n"),
           with_headers("Transfer-Encoding: gzip\r\n"),
           with_headers("Transfer-Encoding: gzip, chunked\r\n"),
           with_headers("Transfer-Encoding: chunked, chunked\r\n"),
           with_headers("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
           with_headers("Transfer-Encoding: xchunked\r\n"),
           with_headers("Transfer-Encoding : chunked\r\n"),
           with_headers("Content-Length : 3\r\n"),
           with_headers(" Content-Length: 3\r\n"),
           with_headers("Host: y\r\n"),
           with_headers("Authorization: a\r\nAuthorization: b\r\n"),
           with_headers("A: b\nContent-Length: 3\r\n"),
           with_headers("A: b\rContent-Length: 3\r\n"),
           with_headers("A: b\0c\r\n"s),
           with_headers("A\0: b\r\n"s),
           with_headers("A\r\n"),
           with_headers(": a\r\n"),
           with_headers("A: b\x01\r\n"),
           "POST /a HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"s,
           "GET /a HTTP/1.1\r\n\r\n"s,
           "GET /a HTTP/2.0\r\n\r\n"s,
           "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"s,
           "GET /a HTTP/1.1\nHost: x\n\n"s,
           "GET /a\r\n\r\n"s,
           "GET  /a HTTP/1.1\r\nHost: x\r\n\r\n"s,
           "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n"s,
           "GET a HTTP/1.0\r\n\r\n"s,
           "GET ftp://a/b HTTP/1.0\r\n\r\n"s,
           "GET * HTTP/1.0\r\n\r\n"s,
           "CONNECT a:80 HTTP/1.0\r\n\r\n"s,
           "GET /%00 HTTP/1.0\r\n\r\n"s,
           "GET /%0a HTTP/1.0\r\n\r\n"s,
           "GET /%4 HTTP/1.0\r\n\r\n"s,
           "GET /%zz HTTP/1.0\r\n\r\n"s,
           "GET /%-1 HTTP/1.0\r\n\r\n"s,
           "GET /\0 HTTP/1.0\r\n\r\n"s,
           "\r\n\r\nGET / HTTP/1.0\r\n\r\n"s,
           " GET / HTTP/1.0\r\n\r\n"s,
           "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"s,
       }) {
    EXPECT_EQ(read(bytes).status, 400) << bytes;
    EXPECT_EQ(read(bytes, 1).status, 400) << bytes;
  }
  EXPECT_EQ(read(with_headers("Expect: magic\r\n")).status, 417);
}

TEST(RequestParser, RefusesChunksThatAreNone) {
  const std::string head = with_headers("Transfer-Encoding: chunked\r\n");
  for (const std::string chunks :
       {"x\r\n", "-1\r\n", "0x1\r\na\r\n", "\r\n", "1\r\nab\r\n", "1\r\na0\r\n\r\n", "1\na\n0\n\n",
        "1;\x01\r\na\r\n", "0\r\nA b\r\n\r\n", "0\r\nContent-Length: 5\r\n\r\n"}) {
    EXPECT_EQ(read(head + chunks + "\r\n\r\n").status, 400) << chunks;
    EXPECT_EQ(read(head + chunks + "\r\n\r\n", 1).status, 400) << chunks;
  }
  EXPECT_EQ(read(head + "fffffffffffffffff\r\n").status, 400);
  EXPECT_EQ(read(head + "ffffffffffffffff\r\n").status, 413);
}

TEST(RequestParser, HoldsItsLimits) {
  const std::string line = "GET / HTTP/1.0\r\n";
  const auto padded = [&line](size_t size) {
    return line + "A: " + std::string(size - line.size() - 7, 'a') + "\r\n\r\n";
  };
  EXPECT_EQ(read(padded(1023)).status, 200);
  EXPECT_EQ(read(padded(1025)).status, 431);
  EXPECT_EQ(read(padded(1025), 1).status, 431);
  EXPECT_EQ(read(line + std::string(1100, 'a')).status, 431) << "before the end has come";
  EXPECT_EQ(read("GET /" + std::string(1100, 'a')).status, 431);
  EXPECT_EQ(read(std::string(1100, 'A')).status, 431);
  EXPECT_EQ(read(with_headers("Content-Length: 4097\r\n")).status, 413);
  EXPECT_EQ(read(with_headers("Content-Length: 4096\r\n") + std::string(4096, 'a')).status, 200);
  const std::string chunked = with_headers("Transfer-Encoding: chunked\r\n");
  EXPECT_EQ(read(chunked + "1001\r\n").status, 413);
  EXPECT_EQ(read(chunked + "1000\r\n" + std::string(4096, 'a') + "\r\n1\r\n").status, 413);
  EXPECT_EQ(read(chunked + "1;" + std::string(1100, 'a')).status, 400);
  EXPECT_EQ(read(chunked + "0\r\nA: " + std::string(1100, 'a')).status, 400);
  EXPECT_EQ(read(chunked + "0\r\nA: " + std::string(1100, 'a'), 1).status, 400);
}

/// Says whether both are the same request. A fault may be found sooner or later, and then another
/// one.
bool are_same(const Outcome& a, const Outcome& b) {
  return a == b || (a.status != 200 && b.status != 200);
}

// What request is read of whatever comes does not depend on how the network cut it.
TEST(RequestParser, ReadsGarbageTheSameInAnyParts) {
  const std::vector<std::string> seeds = {
      "GET /a?b HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
      with_headers("Content-Length: 11\r\nExpect: 100-continue\r\n") + "hel\nlo\r\n\rld",
      with_headers("Transfer-Encoding: chunked\r\n") + "5;a=\"b\"\r\nhello\r\n0\r\nA: b\r\n\r\n",
      with_headers("A: b\r\n c\r\nAuthorization: Bearer x\r\nUpgrade: h2c\r\n"),
  };
  const std::string letters = "\r\n\0 :;,0123456789abcxGP/%\t\x7f\xff"s;
  std::mt19937_64 random(1);
  const auto below = [&random](size_t limit) { return static_cast<size_t>(random() % limit); };
  int num_requests = 0, num_errors = 0;
  for (int round = 0; round < 10000; ++round) {
    std::string bytes = seeds[below(seeds.size())];
    for (size_t edits = below(4); edits > 0; --edits) {
      const size_t at = below(bytes.size() + 1);
      switch (below(4)) {
        case 0:
          bytes.insert(at, 1 + below(3), letters[below(letters.size())]);
          break;
        case 1:
          bytes.erase(at, below(8));
          break;
        case 2:
          bytes.insert(at, bytes, below(bytes.size() + 1), below(40));
          break;
        default:
          if (at < bytes.size()) bytes[at] = static_cast<char>(below(256));
      }
      if (bytes.empty()) bytes = "G";
    }
    const Outcome whole = read(bytes);
    ASSERT_TRUE(are_same(read(bytes, 1), whole)) << bytes;
    ASSERT_TRUE(are_same(read(bytes, 1 + below(9)), whole)) << bytes;
    num_requests += whole.status == 200;
    num_errors += whole.status >= 400;
  }
  EXPECT_GT(num_requests, 1000);
  EXPECT_GT(num_errors, 1000);
}

}  // namespace
}  // namespace longgen::http
