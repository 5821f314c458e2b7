#include "longgen/bench/client/response_reader.h"

#include <gtest/gtest.h>

#include "tests/unit/error_text.h"

namespace longgen {
namespace {

constexpr const char* kChunked =
    "HTTP/1.1 200 OK\r\nServer: test\r\nContent-Type: text/event-stream\r\n"
    "Transfer-Encoding: chunked\r\n\r\n"
    "6;name=value\r\ndata: \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";

/// The body of a response that comes in pieces of as many bytes.
std::string read_in_pieces(ResponseReader& reader, const std::string& bytes, size_t size) {
  std::string body;
  for (size_t begin = 0; begin < bytes.size(); begin += size) {
    reader.feed(bytes.substr(begin, size));
    body += reader.take_body();
  }
  return body;
}

TEST(ResponseReaderTest, ChunksAreTheSameHoweverTheirBytesCome) {
  const std::string bytes = kChunked;
  for (size_t size = 1; size <= bytes.size(); ++size) {
    ResponseReader reader;
    EXPECT_EQ(read_in_pieces(reader, bytes, size), "data: 0123456789") << size;
    EXPECT_TRUE(reader.is_done()) << size;
    EXPECT_EQ(reader.head().status, 200);
    EXPECT_EQ(reader.head().server, "test");
    EXPECT_EQ(reader.head().content_type, "text/event-stream");
  }
}

TEST(ResponseReaderTest, ABodyOfANamedLengthIsWholeOnlyWithAllOfIt) {
  const std::string bytes = "HTTP/1.1 429 Too Many Requests\r\nContent-Length: 5\r\n\r\nhello";
  ResponseReader whole, torn;
  EXPECT_EQ(read_in_pieces(whole, bytes, 7), "hello");
  whole.end();
  EXPECT_EQ(whole.head().status, 429);
  torn.feed(bytes.substr(0, bytes.size() - 1));
  EXPECT_EQ(torn.take_body(), "hell") << "what came is there";
  EXPECT_EQ(error_of([&] { torn.end(); }), "the connection ended in the middle of the answer.");
}

TEST(ResponseReaderTest, AStreamOfChunksThatBreaksOffIsTorn) {
  ResponseReader reader;
  const std::string bytes = kChunked;
  reader.feed(bytes.substr(0, bytes.find("0\r\nTrailer")));
  EXPECT_EQ(reader.take_body(), "data: 0123456789");
  EXPECT_EQ(error_of([&] { reader.end(); }), "the connection ended in the middle of the answer.");
}

TEST(ResponseReaderTest, WithoutALengthTheBodyGoesToTheEndOfTheConnection) {
  ResponseReader reader;
  reader.feed("HTTP/1.0 200 OK\r\n\r\nall of ");
  reader.feed("it");
  EXPECT_FALSE(reader.is_done());
  reader.end();
  EXPECT_EQ(reader.take_body(), "all of it");
}

TEST(ResponseReaderTest, AnInterimAnswerIsSkipped) {
  ResponseReader reader;
  reader.feed("HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_FALSE(reader.has_head());
  reader.feed("HTTP/1.1 204 No Content\r\n\r\n");
  EXPECT_TRUE(reader.is_done());
  EXPECT_EQ(reader.head().status, 204);
}

TEST(ResponseReaderTest, WhatIsNoResponseIsRefused) {
  const auto refusal = [](const std::string& bytes) {
    return error_of([&] {
      ResponseReader reader;
      reader.feed(bytes);
      reader.end();
    });
  };
  EXPECT_EQ(refusal("SSH-2.0-OpenSSH_9.2\r\n\r\n"),
            "what the server sent is no HTTP response: bad version.");
  EXPECT_EQ(refusal(""), "the connection ended before an answer began.");
  EXPECT_EQ(refusal("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
            "what the server sent is no HTTP response: bad chunk.");
  EXPECT_TRUE(refusal("HTTP/1.1 200 OK\r\nA: " + std::string(200'000, 'a'))
                  .starts_with("what the server sent is no HTTP response"));
}

}  // namespace
}  // namespace longgen
