#include "longgen/bench/client/event_reader.h"

#include <gtest/gtest.h>

#include <vector>

#include "tests/unit/error_text.h"

namespace longgen {
namespace {

using Events = std::vector<std::string>;

/// The events of a stream that comes in pieces of as many bytes.
Events read_in_pieces(const std::string& stream, size_t size) {
  EventReader reader;
  Events events;
  for (size_t begin = 0; begin < stream.size(); begin += size) {
    reader.feed(stream.substr(begin, size));
    while (auto event = reader.next()) events.push_back(*std::move(event));
  }
  return events;
}

TEST(EventReaderTest, EventsAreTheSameHoweverTheirBytesCome) {
  const std::string stream =
      "data: {\"a\": 1}\n\n"
      ": a comment\n\n"
      "event: token\r\nid: 7\r\ndata:first\r\ndata:  second\r\n\r\n"
      "data\n\n"
      "retry: 5\r\r"
      "data: [DONE]\r\r"
      "data: never ended\n";
  const Events expected = {"{\"a\": 1}", "first\n second", "", "[DONE]"};
  for (size_t size = 1; size <= stream.size(); ++size) {
    EXPECT_EQ(read_in_pieces(stream, size), expected) << size << " bytes at a time";
  }
}

TEST(EventReaderTest, AnEventWithoutEndDoesNotFillTheMemory) {
  EventReader reader;
  reader.feed("data: ");
  const std::string part(1 << 20, 'x');
  const std::string text = error_of([&] {
    for (int i = 0; i < 20; ++i) {
      reader.feed(part);
      reader.next();
    }
  });
  EXPECT_EQ(text, "an event of the stream is longer than 16777216 bytes.");
}

}  // namespace
}  // namespace longgen
