// engine/stop.h: when generation ends.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <vector>

namespace longgen {

enum class StopReason { token, string, length };

/// "stop token", "stop string" or "length".
const char* stop_reason_name(StopReason reason);

struct StopCriteria {
  std::vector<int32_t> tokens = {};       ///< each ends the text; its own text is not part of it
  std::vector<std::string> strings = {};  ///< each ends the text before itself
  int64_t min_tokens = 0;                 ///< text of the first ones holds no stop string
  int64_t max_tokens = std::numeric_limits<int64_t>::max();  ///< 0 allows none

  /// Throws Error naming what is wrong: a negative token or count, a stop string that is empty
  /// or not UTF-8.
  void check() const;
};

/// Looks for stop strings in a text that comes in parts, and lets through what stands before the
/// first one. The result does not depend on how the text is divided: the string that is complete
/// first ends it, and of those complete at the same byte the longest. Text that may yet turn out to
/// be the start of a stop string is held back, never more than that. Characters of the text that
/// come whole leave whole.
class StopStringFilter {
 public:
  /// `strings` as StopCriteria::check() wants them.
  explicit StopStringFilter(const std::vector<std::string>& strings);

  /// What became certain with this part. Once a stop string is found, nothing may be pushed.
  std::string push(std::string_view text);
  /// A stop string is complete; push has given everything before it.
  bool found() const { return found_; }
  /// What is held back, when no more text comes.
  std::string finish();

 private:
  /// How much of one string the end of the text matches, kept up to date a byte at a time (Knuth,
  /// Morris and Pratt), so that a long string and repetitive text cost no more than others.
  struct Matcher {
    std::string string;
    std::vector<size_t> fallback;  // [n]: the longest shorter match that a match of n bytes holds
    size_t num_matched = 0;

    explicit Matcher(const std::string& wanted);
    bool advance(char c);  // true when the string is complete
  };

  std::vector<Matcher> matchers_;
  std::string held_;
  bool found_ = false;
};

}  // namespace longgen
