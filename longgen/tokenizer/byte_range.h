// tokenizer/byte_range.h: stretches of a text, by bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

namespace longgen {

/// The bytes from `begin` up to `end`, which is not part of it.
struct ByteRange {
  size_t begin = 0, end = 0;
  bool operator==(const ByteRange&) const = default;
};

/// Whether [begin, end) lies wholly inside one of the ranges, which ascend and do not touch.
inline bool within_one_of(std::span<const ByteRange> ranges, size_t begin, size_t end) {
  const auto after = std::upper_bound(ranges.begin(), ranges.end(), begin,
                                      [](size_t at, const ByteRange& r) { return at < r.begin; });
  return after != ranges.begin() && end <= (after - 1)->end;
}

/// Bytes [begin, end) of a text that are replaced by `new_size` others.
struct TextEdit {
  size_t begin, end, new_size;
};

/// Gives the ranges of a text after the edits, which ascend. What an edit touches in part is no
/// longer inside; bytes put in right before a range become part of it.
inline std::vector<ByteRange> move_ranges(std::span<const ByteRange> ranges,
                                          std::span<const TextEdit> edits) {
  std::vector<ByteRange> moved;
  size_t next = 0, old_bytes = 0, new_bytes = 0;  // of the edits passed so far
  const auto shifted = [&](size_t at) { return at - old_bytes + new_bytes; };
  const auto pass = [&] {
    old_bytes += edits[next].end - edits[next].begin;
    new_bytes += edits[next++].new_size;
  };
  for (const ByteRange& range : ranges) {
    size_t begin = range.begin, end = range.end;
    while (next < edits.size() && edits[next].begin < range.begin) {
      begin = std::max(begin, edits[next].end);
      pass();
    }
    const size_t new_begin = shifted(begin);
    while (next < edits.size() && edits[next].end <= range.end) pass();
    if (next < edits.size()) end = std::min(end, edits[next].begin);
    if (begin < end) moved.push_back({new_begin, shifted(end)});
  }
  return moved;
}

}  // namespace longgen
