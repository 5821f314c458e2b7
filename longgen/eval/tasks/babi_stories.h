// eval/tasks/babi_stories.h: the questions of a file of the bAbI tasks, and the facts before each.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "longgen/base/files.h"

namespace longgen {

struct BabiQuestion {
  std::string text, answer;             ///< without white space around them
  size_t first_fact = 0, end_fact = 0;  ///< of the story, up to the question
};

/// All questions of a file. The facts of a question are those of its story that stand before it.
class BabiStories {
 public:
  /// Reads lines "1 Mary went to the office." and "2 Where is Mary?\toffice\t1"; a number 1 begins
  /// a story. A bar instead of a tab, which some copies have, is read as well. Throws Error naming
  /// file and line.
  static BabiStories read(const fs::path& path);

  const std::vector<BabiQuestion>& questions() const { return questions_; }
  std::span<const std::string> facts(const BabiQuestion& question) const;

 private:
  std::vector<std::string> facts_;  // of all stories
  std::vector<BabiQuestion> questions_;
};

}  // namespace longgen
