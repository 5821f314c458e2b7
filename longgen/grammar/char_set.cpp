#include "longgen/grammar/char_set.h"

#include <fmt/format.h>

#include <algorithm>

namespace longgen {

CharSet::CharSet(std::initializer_list<Range> ranges) {
  for (const Range& range : ranges) add(range.first, range.last);
}

void CharSet::add(uint32_t first, uint32_t last) {
  std::vector<Range> merged;
  Range added = {first, last};
  for (const Range& range : ranges_) {
    const bool touches = range.first <= added.last + 1 && added.first <= range.last + 1;
    if (!touches) {
      merged.push_back(range);
    } else {
      added = {std::min(added.first, range.first), std::max(added.last, range.last)};
    }
  }
  const auto place = std::find_if(merged.begin(), merged.end(),
                                  [&](const Range& range) { return range.first > added.first; });
  merged.insert(place, added);
  ranges_ = std::move(merged);
}

void CharSet::add(const CharSet& other) {
  for (const Range& range : other.ranges_) add(range.first, range.last);
}

CharSet CharSet::complement() const {
  CharSet others;
  uint32_t next = 0;
  for (const Range& range : ranges_) {
    if (range.first > next) others.add(next, range.first - 1);
    next = range.last + 1;
  }
  if (next <= kLast) others.add(next, kLast);
  return others;
}

CharSet CharSet::without(const CharSet& other) const {
  CharSet excluded = complement();
  excluded.add(other);
  return excluded.complement();
}

bool CharSet::contains(uint32_t code_point) const {
  return std::any_of(ranges_.begin(), ranges_.end(), [&](const Range& range) {
    return range.first <= code_point && code_point <= range.last;
  });
}

int64_t CharSet::size() const {
  int64_t count = 0;
  for (const Range& range : ranges_) count += int64_t{range.last} - range.first + 1;
  return count;
}

std::string CharSet::ebnf() const {
  // xgrammar knows classes that leave some out better than those that name nearly all, but leaves
  // out ASCII only.
  const CharSet others = complement();
  if (contains(kLast) && !others.is_empty() && others.ranges_.back().last < 0x80) {
    std::string text = others.ebnf();
    return text.insert(1, "^");
  }
  std::string text = "[";
  for (const Range& range : ranges_) {
    text += fmt::format("\\x{:x}", range.first);
    if (range.last > range.first) text += fmt::format("-\\x{:x}", range.last);
  }
  return text + "]";
}

const CharSet& plain_in_json() {
  static const CharSet plain = CharSet({{0, 0x1F}, {'"', '"'}, {'\\', '\\'}}).complement();
  return plain;
}

}  // namespace longgen
