#include "longgen/data/marks.h"

namespace longgen {

std::vector<uint8_t> mark_places(std::span<const ByteRange> places,
                                 std::span<const ByteRange> ranges, Mark inside, Mark outside) {
  std::vector<uint8_t> marks;
  marks.reserve(places.size());
  for (const ByteRange& place : places) {
    while (!ranges.empty() && ranges.front().end <= place.begin) ranges = ranges.subspan(1);
    const bool shares = !ranges.empty() && ranges.front().begin < place.end;
    marks.push_back(static_cast<uint8_t>(shares ? inside : outside));
  }
  return marks;
}

}  // namespace longgen
