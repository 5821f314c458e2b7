#include "longgen/chat/jinja/text.h"

#include <algorithm>

namespace longgen::jinja {

Text::Text(std::string bytes, Origin origin) : bytes_(std::move(bytes)) {
  if (origin == Origin::written && !bytes_.empty()) written_.push_back({0, bytes_.size()});
}

Origin Text::origin_at(size_t byte) const {
  return within_one_of(written_, byte, byte + 1) ? Origin::written : Origin::data;
}

void Text::append(std::string_view bytes, Origin origin) {
  if (bytes.empty()) return;
  const size_t begin = bytes_.size();
  bytes_.append(bytes);
  if (origin == Origin::data) return;
  if (!written_.empty() && written_.back().end == begin) {
    written_.back().end = bytes_.size();
  } else {
    written_.push_back({begin, bytes_.size()});
  }
}

void Text::append(const Text& other, size_t begin, size_t end) {
  const std::string_view bytes = other.bytes_;
  auto range = std::upper_bound(other.written_.begin(), other.written_.end(), begin,
                                [](size_t at, const ByteRange& r) { return at < r.end; });
  while (begin < end) {
    if (range == other.written_.end() || range->begin >= end) {
      return append(bytes.substr(begin, end - begin), Origin::data);
    }
    const size_t first = std::max(begin, range->begin), last = std::min(end, range->end);
    append(bytes.substr(begin, first - begin), Origin::data);
    append(bytes.substr(first, last - first), Origin::written);
    begin = last;
    ++range;
  }
}

Text Text::slice(size_t begin, size_t end) const {
  Text part;
  part.append(*this, begin, end);
  return part;
}

}  // namespace longgen::jinja
