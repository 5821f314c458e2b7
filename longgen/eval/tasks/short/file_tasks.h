// eval/tasks/short/file_tasks.h: what the short tasks share, and those that take more than a row in
// the table of short_tasks.cpp.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "longgen/eval/tasks/short/choice_record.h"
#include "longgen/eval/tasks/short/short_tasks.h"

namespace longgen {

/// A task of the group whose settings hold the hashes of its files.
SuiteTask task_of_files(const std::string& name, const std::vector<fs::path>& files);

/// Has the task make an item of each record, when it is asked for.
template <typename Record, typename Make>
void make_choices_of(SuiteTask& task, std::vector<Record> records, Make make) {
  task.num_items = static_cast<int64_t>(records.size());
  const auto kept = std::make_shared<const std::vector<Record>>(std::move(records));
  task.choice = [kept, make](int64_t number) {
    return make(kept->at(static_cast<size_t>(number)));
  };
}
template <typename Record, typename Make>
void make_replies_of(SuiteTask& task, std::vector<Record> records, Make make) {
  task.num_items = static_cast<int64_t>(records.size());
  const auto kept = std::make_shared<const std::vector<Record>>(std::move(records));
  task.generation = [kept, make](int64_t number) {
    return make(kept->at(static_cast<size_t>(number)));
  };
}

/// The choices after one context, with a space between, as lm-eval joins them.
ChoiceItem choices_after(const std::string& context, const ChoiceRecord& record);

/// MMLU asked by letters, or by the texts of the answers (cloze).
SuiteTask open_mmlu(const std::string& name, const ShortTaskOptions& options);
SuiteTask open_gsm8k(const fs::path& folder);

/// Scores of GSM8K, as lm-eval's filters "flexible-extract" (the last number of the reply) and
/// "strict-match" (the first after ####) find them; compared as texts without commas, $ and a full
/// stop at the end.
double score_gsm8k_flexible(std::string_view reply, const std::string& answer);
double score_gsm8k_strict(std::string_view reply, const std::string& answer);

}  // namespace longgen
