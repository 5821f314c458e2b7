// chat/jinja/budget.h: how much a template may do. Templates come with models from anywhere.
#pragma once

#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "longgen/base/check.h"

namespace longgen::jinja {

/// What went wrong while a template was rendered; the evaluator adds file and line and throws
/// Error.
class Failure : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws Failure with the parts written one after the other.
template <typename... Parts>
[[noreturn]] void fail(const Parts&... parts) {
  throw Failure(detail::concat(parts...));
}

/// The defaults are some hundred times what the templates of published models need for a
/// conversation of a million tokens.
struct Limits {
  int64_t steps = 10'000'000;               ///< expressions, statements, and 64 bytes of text each
  int64_t depth = 400;                      ///< statements, expressions and calls within others
  int64_t value_depth = 100;                ///< lists within lists
  size_t text_bytes = size_t{64} << 20;     ///< one string, and what is written
  size_t list_items = size_t{1} << 20;      ///< one list
  size_t memory_bytes = size_t{512} << 20;  ///< all strings and lists made, together
};

/// Counts against the limits; each call throws Failure naming the limit that is reached.
class Budget {
 public:
  explicit Budget(const Limits& limits) : limits_(limits) {}
  const Limits& limits() const { return limits_; }

  /// One step, and one more for each 64 bytes that it reads or writes.
  void step(size_t bytes = 0) {
    steps_ += 1 + static_cast<int64_t>(bytes / 64);
    if (steps_ > limits_.steps) fail("the template takes more than ", limits_.steps, " steps");
  }
  void check_text(size_t bytes) const {
    if (bytes > limits_.text_bytes) {
      fail("the template makes a string of more than ", limits_.text_bytes, " bytes");
    }
  }
  void check_items(size_t items) const {
    if (items > limits_.list_items) {
      fail("the template makes a list of more than ", limits_.list_items, " items");
    }
  }
  void check_value_depth(int64_t depth) const {
    if (depth > limits_.value_depth) {
      fail("the template nests values deeper than ", limits_.value_depth, " levels");
    }
  }
  /// Memory that is taken and counts as taken until the end.
  void take(size_t bytes) {
    memory_ += bytes;
    if (memory_ > limits_.memory_bytes) {
      fail("the template makes strings and lists of more than ", limits_.memory_bytes,
           " bytes in all");
    }
    step(bytes);
  }

  /// Lasts as long as a statement, an expression or a call is at work.
  class Nesting {
   public:
    explicit Nesting(Budget& budget) : budget_(budget) {
      if (++budget_.depth_ <= budget_.limits_.depth) return;
      --budget_.depth_;
      fail("the template nests deeper than ", budget_.limits_.depth, " levels");
    }
    ~Nesting() { --budget_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    Budget& budget_;
  };

 private:
  Limits limits_;
  int64_t steps_ = 0, depth_ = 0;
  size_t memory_ = 0;
};

}  // namespace longgen::jinja
