// data/compose/composer.h: document i of a composed corpus.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/data/compose/corpus_text.h"
#include "longgen/data/compose/fit.h"
#include "longgen/data/compose/task.h"
#include "longgen/data/prepare.h"

namespace longgen {

struct LengthShare {
  int64_t num_tokens;
  double share;  ///< of the documents; any positive numbers, of which only the ratio counts
};
struct TaskShare {
  const TaskKind* kind;
  double share;
};

struct ComposePlan {
  std::vector<LengthShare> lengths;
  std::vector<TaskShare> tasks;
  uint64_t seed = 0;
};

/// Makes the documents, each by itself: document i is a function of (plan, corpus, tokenizer, i).
/// Several threads may call it at once.
class Composer {
 public:
  /// Where the corpus is too short for the longest documents, throws Error. All that is given must
  /// outlive it.
  Composer(const CorpusText& corpus, const TextEncoder& encoder, const ComposePlan& plan);

  /// Lengths, tasks and places in the corpus follow multiples of irrational numbers instead of
  /// random ones, which come in heaps: any few documents in a row have about the shares asked for,
  /// each length all of the tasks, and are spread over the corpus.
  int64_t length_of(int64_t index) const;
  const TaskKind& task_of(int64_t index) const;

  /// Throws Error when the corpus gives no such document: too little room, too few sentences.
  ComposedDocument compose(int64_t index) const;

  static constexpr int64_t kMinTokens = 256, kMaxTokens = int64_t{1} << 26;

 private:
  struct Choice {
    const LengthShare* length;
    const TaskShare* task;
  };
  Choice choice(int64_t index) const;
  std::optional<Scene> look(size_t end, int64_t num_tokens, const TaskKind& kind) const;
  std::string_view elsewhere(const Scene& scene, Draw& draw) const;
  /// Gives nothing, and says in `problem` why, where the scene does not suit the task.
  std::optional<ComposedDocument> write(const Scene& scene, const TaskKind& kind,
                                        int64_t num_tokens, Draw& draw, std::string& problem) const;

  const CorpusText& corpus_;
  const TokenCounter counter_;
  const ComposePlan& plan_;
  double bytes_per_token_ = 0;
};

}  // namespace longgen
