// MMLU, as lm-eval's mmlu (by letters) and mmlu_continuation (cloze) ask it.
#include <map>

#include "longgen/base/check.h"
#include "longgen/eval/suite/item_lines.h"
#include "longgen/eval/tasks/short/file_tasks.h"

namespace longgen {
namespace {

constexpr size_t kNumChoices = 4;
constexpr const char* kLetters[kNumChoices] = {"A", "B", "C", "D"};

/// "us_foreign_policy" reads as "us foreign policy".
std::string spaced(std::string subject) {
  for (char& c : subject) c = c == '_' ? ' ' : c;
  return subject;
}

std::string question_text(const ChoiceRecord& record, bool by_letters) {
  if (!by_letters) return "Question: " + stripped(record.question) + "\nAnswer:";
  std::string text = stripped(record.question);
  for (size_t i = 0; i < kNumChoices; ++i) {
    text += std::string("\n") + kLetters[i] + ". " + record.choices[i];
  }
  return text + "\nAnswer:";
}

std::string beginning(const std::string& subject, bool by_letters) {
  return std::string("The following are ") +
         (by_letters ? "multiple choice questions (with answers) about "
                     : "questions (with answers) about ") +
         spaced(subject) + ".\n\n";
}

/// The answer of choice i, after the question.
std::string answer_text(const ChoiceRecord& record, int64_t i, bool by_letters) {
  return by_letters ? kLetters[i] : record.choices[static_cast<size_t>(i)];
}

std::vector<ChoiceRecord> read_questions(const fs::path& file) {
  std::vector<ChoiceRecord> records = read_choice_records(file, "question", true);
  std::map<std::string, int64_t> numbers;
  for (ChoiceRecord& record : records) {
    LG_CHECK(record.choices.size() == kNumChoices, file.string(), ": item ", record.id,
             ": field choices: expected 4 texts, found ", record.choices.size(), ".");
    record.id = record.subject + "/" + std::to_string(numbers[record.subject]++);
  }
  return records;
}

/// What stands before the questions of each subject: its first `shots` of the dev set, solved.
std::map<std::string, std::string> read_shots(const fs::path& file, int64_t shots,
                                              bool by_letters) {
  std::map<std::string, std::string> texts;
  std::map<std::string, int64_t> counts;
  for (const ChoiceRecord& record : read_questions(file)) {
    if (counts[record.subject] == shots) continue;
    ++counts[record.subject];
    texts[record.subject] += question_text(record, by_letters) + " " +
                             answer_text(record, record.gold, by_letters) + "\n\n";
  }
  for (const auto& [subject, count] : counts) {
    LG_CHECK(count == shots, file.string(), ": expected ", shots,
             " solved questions of each subject (--shots), found ", count, " of ", subject, ".");
  }
  return texts;
}

}  // namespace

SuiteTask open_mmlu(const std::string& name, const ShortTaskOptions& options) {
  const bool by_letters = name == "mmlu";
  const fs::path file = options.folder / "mmlu_test.jsonl", dev = options.folder / "mmlu_dev.jsonl";
  SuiteTask task =
      options.shots > 0 ? task_of_files(name, {file, dev}) : task_of_files(name, {file});
  task.settings["shots"] = options.shots;
  std::map<std::string, std::string> shots;
  if (options.shots > 0) shots = read_shots(dev, options.shots, by_letters);
  std::vector<ChoiceRecord> records = read_questions(file);
  for (const ChoiceRecord& record : records) {
    LG_CHECK(options.shots == 0 || shots.contains(record.subject), dev.string(),
             ": expected solved questions of every subject (--shots), found none of ",
             record.subject, ".");
  }
  make_choices_of(task, std::move(records),
                  [by_letters, shots = std::move(shots)](const ChoiceRecord& record) {
                    const auto solved = shots.find(record.subject);
                    const std::string context = beginning(record.subject, by_letters) +
                                                (solved == shots.end() ? "" : solved->second) +
                                                question_text(record, by_letters);
                    ChoiceRecord answers = record;
                    for (int64_t i = 0; i < static_cast<int64_t>(kNumChoices); ++i) {
                      answers.choices[static_cast<size_t>(i)] = answer_text(record, i, by_letters);
                    }
                    return choices_after(context, answers);
                  });
  if (by_letters) {
    task.scores = {"acc"};
  } else {
    task.scores = {"acc_norm", "acc"};
  }
  return task;
}

}  // namespace longgen
