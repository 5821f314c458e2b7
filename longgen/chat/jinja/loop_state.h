// chat/jinja/loop_state.h: where a for loop stands: the variable `loop`.
#pragma once

#include <deque>
#include <memory>

#include "longgen/chat/jinja/value.h"

namespace longgen::jinja {

/// Items are asked for as late as possible, because asking may fail and may not be needed.
class LoopState {
 public:
  /// Exactly one of the two sources is given.
  LoopState(std::shared_ptr<const Values> items, std::shared_ptr<Iterator> iterator, int64_t depth)
      : items_(std::move(items)), iterator_(std::move(iterator)), depth_(depth) {}

  /// Goes to the next item; false when there is none.
  bool advance();
  const Value& item() const { return current_; }
  int64_t index0() const { return index_; }
  int64_t depth() const { return depth_; }
  /// loop.NAME. `self` is the value that holds this. nullopt when there is no such attribute.
  std::optional<Value> attribute(std::string_view name, const Value& self);

 private:
  bool has_next();
  Value next_item();
  int64_t length();
  Value cycle(const Values& values) const;

  std::shared_ptr<const Values> items_;
  std::shared_ptr<Iterator> iterator_;
  std::deque<Value> ahead_;  // of the iterator, asked for but not yet visited
  Value previous_, current_;
  int64_t index_ = -1, depth_;
};

}  // namespace longgen::jinja
