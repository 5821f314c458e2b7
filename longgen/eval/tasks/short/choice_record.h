// eval/tasks/short/choice_record.h: a question with choices, as the files of short tasks hold it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "longgen/base/files.h"

namespace longgen {

struct ChoiceRecord {
  std::string id;
  std::string subject;  ///< of MMLU; empty elsewhere
  std::string question;
  std::vector<std::string> choices;
  int64_t gold = 0;
};

/// Reads lines of {"question" (or whatever `question_field` says), "choices", "gold"}, with "id"
/// or the line's number, and with "subject" where asked for. Throws Error naming line and field,
/// and on two lines of one id.
std::vector<ChoiceRecord> read_choice_records(const fs::path& file,
                                              const std::string& question_field,
                                              bool with_subject = false);

}  // namespace longgen
