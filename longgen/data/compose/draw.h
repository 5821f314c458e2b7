// data/compose/draw.h: names and values for composed tasks, drawn so that none stands in another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/base/random.h"

namespace longgen {

/// What a name or value is.
enum class Kind {
  person,       // Saskia Tregarthen
  place,        // Ravenmouth
  item,         // brass astrolabe (after an article)
  ship,         // schooner Wexorivan (after an article)
  coined,       // Toverizor: a name that means nothing
  option,       // lease_retry_delay
  number,       // 4 to 7 digits
  code,         // QX-417-HB
  date,         // 14 March 1763
  cargo,        // 412 sacks of barley
  watchword,    // teal cormorant
  long_number,  // 5 to 9 digits
  uuid,         // 1f0c42d7-93be-40a1-8e56-c07d2b9a6f34
};

class Draw {
 public:
  explicit Draw(uint64_t key) : random_(key) {}

  /// Draws from [low, high].
  int64_t between(int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random_.below(static_cast<uint64_t>(high - low) + 1));
  }
  bool chance(int64_t percent) { return between(1, 100) <= percent; }
  template <typename List>
  const auto& pick(const List& list) {
    return list[random_.below(list.size())];
  }
  template <typename Value>
  void shuffle(std::vector<Value>& values) {
    for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[random_.below(i)]);
  }
  /// Draws `count` of the numbers 0 to size - 1, at most all of them, in random order.
  std::vector<size_t> choose(size_t count, size_t size);

  /// Mixes the sequences at random; within each the order stays.
  std::vector<std::string> interleave(std::vector<std::vector<std::string>> sequences);

  /// Draws one that neither holds nor is held in any that was drawn before.
  std::string fresh(Kind kind);
  /// As fresh(); where the kind has such names, the first or the last four letters are those of
  /// `name`, which it is easily taken for.
  std::string fresh_like(std::string_view name, Kind kind);
  /// Returns all that fresh() and fresh_like() gave.
  const std::vector<std::string>& drawn() const { return drawn_; }

 private:
  std::string any(Kind kind);
  bool taken(const std::string& value) const;

  RandomStream random_;
  std::vector<std::string> drawn_;
};

}  // namespace longgen
