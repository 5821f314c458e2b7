// data/compose/task.h: what a kind of task is given, and what it gives.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "longgen/data/compose/draw.h"
#include "longgen/tokenizer/byte_range.h"

namespace longgen {

/// The piece of the corpus that a document is made of.
struct Scene {
  std::string_view text;             ///< the document holds its end, and most of it
  std::vector<ByteRange> sentences;  ///< of `text`, see find_sentences()
  double bytes_per_token = 1;        ///< of the text, on average
  size_t sure_begin = 0;             ///< from here on the document holds the text for sure
  std::string_view elsewhere;        ///< text of the corpus that it does not hold; may be empty
  int64_t budget_bytes = 0;          ///< what passages and questions may take together
};

/// A text that a task puts between two sentences of the corpus.
struct Passage {
  std::string text;
  bool block = false;  ///< a table or list, which stands between blank lines
};

/// A text with its answers marked: of one question, or of all, which a document ends with.
struct MarkedText {
  std::string text;
  std::vector<ByteRange> answers;  ///< bytes of `text`, ascending
};

struct TaskText {
  std::vector<Passage> passages;  ///< in the order in which they stand in the document
  MarkedText questions;
  std::vector<std::string> new_words;  ///< names and values that the corpus text must not hold
};

struct TaskKind {
  std::string_view name;
  std::string_view what;  ///< for the help
  int64_t max_bytes;      ///< of passages and questions, however long the document is
  /// Makes the task for a scene; gives nothing when the scene does not suit it.
  std::optional<TaskText> (*make)(const Scene& scene, Draw& draw);
};

std::optional<TaskText> make_recall(const Scene& scene, Draw& draw);
std::optional<TaskText> make_collecting(const Scene& scene, Draw& draw);
std::optional<TaskText> make_records(const Scene& scene, Draw& draw);
std::optional<TaskText> make_chains(const Scene& scene, Draw& draw);
std::optional<TaskText> make_joining(const Scene& scene, Draw& draw);
std::optional<TaskText> make_reading(const Scene& scene, Draw& draw);

/// Returns all kinds, in the order in which they are made known.
std::span<const TaskKind> task_kinds();

}  // namespace longgen
