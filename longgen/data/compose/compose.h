// data/compose/compose.h: long tasks made of a corpus, as JSON lines for `longgen prepare`.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/files.h"
#include "longgen/data/compose/composer.h"
#include "longgen/data/prepare.h"

namespace longgen {

struct ComposeOptions {
  std::vector<fs::path> inputs;  ///< files or folders, see expand_inputs()
  fs::path output;               ///< .jsonl or .jsonl.zst
  bool replace = false;          ///< an output that exists is replaced at the end
  ComposePlan plan;
  int64_t num_documents = 0;  ///< 0: as many as reach num_tokens
  int64_t num_tokens = 0;
  std::string text_field = "text";
  bool skip_bad = false;  ///< count and leave out bad lines instead of stopping at the first
  int num_threads = 0;    ///< at most kMaxThreads; 0: default_threads()
  bool show_progress = true;
  /// Set from outside (a signal handler) to end the run early, with an Error; what is done is kept.
  const std::atomic<bool>* stop = nullptr;
};

struct ComposeSummary {
  struct Part {
    std::string name;  ///< of a task, or a length
    int64_t num_documents = 0, num_tokens = 0;
  };
  int64_t num_documents = 0, num_tokens = 0;
  int64_t num_kept = 0;                       ///< of the documents: an earlier run made them
  int64_t num_answers = 0, answer_bytes = 0;  ///< of this run
  std::vector<Part> tasks, lengths;
  int64_t corpus_documents = 0, corpus_bytes = 0, num_bad_lines = 0;
  double seconds = 0;
};

/// Writes the documents 0, 1, ... of the plan, a JSON object a line: text, answers ([begin, end) in
/// bytes of the text), task, length, seed, index, passages (as answers: what the task put into the
/// text). The output is a function of corpus, plan, tokenizer and count, whatever the threads. It
/// appears whole; a run that ends early keeps its documents, and the same call goes on with them
/// (see GrowingOutput). Memory: one document a thread, and 256 MiB of finished ones at most.
/// Throws Error on a bad corpus, a length that it has no text for, a full disk, other settings.
ComposeSummary compose_documents(const TextEncoder& encoder, const ComposeOptions& options);

}  // namespace longgen
