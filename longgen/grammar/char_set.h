// grammar/char_set.h: sets of characters, as patterns name them.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

namespace longgen {

/// A set of code points.
class CharSet {
 public:
  static constexpr uint32_t kLast = 0x10FFFF;
  struct Range {
    uint32_t first, last;
  };

  CharSet() = default;
  CharSet(std::initializer_list<Range> ranges);

  void add(uint32_t first, uint32_t last);
  void add(const CharSet& other);
  CharSet complement() const;
  CharSet without(const CharSet& other) const;
  bool contains(uint32_t code_point) const;
  bool is_empty() const { return ranges_.empty(); }
  /// The lowest one of a set that is not empty.
  uint32_t first() const { return ranges_.front().first; }
  /// How many there are.
  int64_t size() const;
  /// A character class of xgrammar's EBNF. The set must not be empty.
  std::string ebnf() const;

 private:
  std::vector<Range> ranges_;  // ascending, with gaps between them
};

/// Characters that stand in a JSON string as themselves.
const CharSet& plain_in_json();

}  // namespace longgen
