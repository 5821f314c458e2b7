// eval/tasks/task_material.h: what the long tasks share: tokenizer, files, texts, random numbers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/base/random.h"
#include "longgen/eval/counted_haystack.h"
#include "longgen/eval/prompt_fitter.h"
#include "longgen/eval/tasks/long_task.h"

namespace longgen {

/// Reads what the tasks need when it is first asked for, and remembers it. It serves one thread at
/// a time.
class TaskMaterial {
 public:
  /// The tokenizer must outlive the object.
  TaskMaterial(const Tokenizer& tokenizer, LongTaskOptions options);

  const Tokenizer& tokenizer() const { return tokenizer_; }
  const PromptFitter& fitter() const { return fitter_; }
  const LongTaskOptions& options() const { return options_; }

  /// Returns RULER's noise.
  const CountedHaystack& noise() const { return noise_; }
  /// Returns the sentences of texts().
  const CountedHaystack& text() const;
  /// Throws Error when the options name no text and the folder has none.
  std::vector<fs::path> texts() const;

  /// Returns the path of a file of the folder; `what` says what it holds, in an error.
  fs::path file(const fs::path& relative, const std::string& what) const;
  /// Reads a list of the folder, one word a line; white space around it and empty lines are left
  /// out.
  std::vector<std::string> words(const fs::path& relative) const;

  /// Returns the key of a sample's random numbers.
  uint64_t key(const std::string& task, int64_t length_tokens, int64_t index) const;
  /// Returns the key of what all samples of a task share.
  uint64_t key(const std::string& task) const;

 private:
  const Tokenizer& tokenizer_;
  LongTaskOptions options_;
  PromptFitter fitter_;
  CountedHaystack noise_;
  mutable std::optional<CountedHaystack> text_;
};

/// Throws Error unless 1 <= length_tokens <= kMaxLengthTokens and index >= 0.
void check_sample(const std::string& task, int64_t length_tokens, int64_t index);

/// Returns what names a sample within its task.
std::string sample_id(int64_t length_tokens, int64_t index);

/// Returns `count` different numbers of 0 to bound - 1, in ascending order.
std::vector<int64_t> draw_ascending(RandomStream& random, int64_t count, int64_t bound);

}  // namespace longgen
