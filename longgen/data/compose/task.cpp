#include "longgen/data/compose/task.h"

#include <array>

namespace longgen {

std::span<const TaskKind> task_kinds() {
  constexpr int64_t kKiB = 1024;
  static constexpr std::array<TaskKind, 6> kKinds = {{
      {"recall", "facts with a key and a value", 12 * kKiB, make_recall},
      {"collecting", "questions with several answers", 12 * kKiB, make_collecting},
      {"records", "tables and lists, asked by key", 16 * kKiB, make_records},
      {"chains", "values handed on from name to name", 8 * kKiB, make_chains},
      {"joining", "questions that need several places", 12 * kKiB, make_joining},
      {"reading", "questions on the corpus itself", 6 * kKiB, make_reading},
  }};
  return kKinds;
}

}  // namespace longgen
