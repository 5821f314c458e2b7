// engine/draw_slots.h: places for sequences that come and go.
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "longgen/base/check.h"

namespace longgen {

template <typename Content>
class DrawSlots {
 public:
  explicit DrawSlots(int64_t count) : slots_(static_cast<size_t>(count)) {
    for (int64_t slot = count; slot-- > 0;) free_.push_back(slot);
  }

  /// Throws Error where all are taken.
  int64_t add(Content content) {
    LG_CHECK(!free_.empty(), "[sample] expected at most ", slots_.size(),
             " sequences at a time, found one more.");
    const int64_t slot = free_.back();
    free_.pop_back();
    slots_[static_cast<size_t>(slot)].emplace(std::move(content));
    return slot;
  }
  void remove(int64_t slot) {
    LG_DCHECK(slots_[static_cast<size_t>(slot)].has_value());
    slots_[static_cast<size_t>(slot)].reset();
    free_.push_back(slot);
  }
  Content& operator[](int64_t slot) { return slots_[static_cast<size_t>(slot)].value(); }

 private:
  std::vector<std::optional<Content>> slots_;
  std::vector<int64_t> free_;
};

}  // namespace longgen
