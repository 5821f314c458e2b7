// eval/tasks/long_task.h: tasks whose samples are made for a length in tokens: RULER and BABILong.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/eval/prompt_fitter.h"
#include "longgen/eval/suite/item.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {

/// A maker of samples. What LongTasks made serves one thread at a time, all tasks together, because
/// they share what they remember of the texts.
class LongTask {
 public:
  virtual ~LongTask() = default;

  virtual std::string name() const = 0;

  /// Gives a sample: a function of (tokenizer, options, files, arguments), whatever else was asked
  /// before.
  ///   length_tokens  prompt, as the model reads it, and reply take at most that many and close to
  ///                  it: what a task is made of (a sentence, a document, a word's repeats) is not
  ///                  cut. 0 is BABILong's 0K, facts alone; RULER has none.
  ///   index          0, 1, ...
  /// Throws Error on arguments out of range and when the length has no room for the question.
  virtual GenerationItem item(int64_t length_tokens, int64_t index) const = 0;
};

struct LongTaskOptions {
  /// Holds words/, qa/ and babi/, as docs/long_tasks.md says.
  fs::path folder;
  /// Files and folders of text to hide needles and facts in, as `prepare` reads them. Where there
  /// are none: the folder's own, text/ or wikitext2/test.txt.
  std::vector<fs::path> texts = {};
  uint64_t seed = 42;    ///< 42 is RULER's
  PromptWrap wrap = {};  ///< the chat format; empty for plain text
};

class TaskMaterial;

/// Makes the tasks, which share the texts and what is remembered of them.
class LongTasks {
 public:
  /// The tokenizer must outlive the tasks. Files are read when a task needs them.
  LongTasks(const Tokenizer& tokenizer, LongTaskOptions options);

  /// Returns niah_single_1 to qa_2, in RULER's order.
  static const std::vector<std::string>& ruler_names();
  /// Returns babilong_qa1 to babilong_qa10.
  static const std::vector<std::string>& babilong_names();

  /// Throws Error for an unknown name, and for a file that is missing or malformed, which says what
  /// was expected there.
  std::unique_ptr<LongTask> make(const std::string& name) const;

  /// Returns the files and folders that needles and facts are hidden in, for reports.
  std::vector<fs::path> texts() const;

 private:
  std::shared_ptr<const TaskMaterial> material_;
};

}  // namespace longgen
