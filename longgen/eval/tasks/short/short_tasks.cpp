#include "longgen/eval/tasks/short/short_tasks.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/base/nearest_name.h"
#include "longgen/eval/suite/item_lines.h"
#include "longgen/eval/tasks/short/file_tasks.h"

namespace longgen {
namespace {

/// Choices that follow a question, which stands between two texts.
struct QuestionTask {
  const char* name;
  const char* file;
  const char* question_field;
  const char* before;
  const char* after;
  bool is_normalized;  // lm-eval reports acc_norm
};
constexpr QuestionTask kQuestionTasks[] = {
    {"hellaswag", "hellaswag_val.jsonl", "query", "", "", true},
    {"piqa", "piqa_val.jsonl", "goal", "Question: ", "\nAnswer:", true},
    {"arc_easy", "arc_easy_test.jsonl", "question", "Question: ", "\nAnswer:", true},
    {"arc_challenge", "arc_challenge_test.jsonl", "question", "Question: ", "\nAnswer:", true},
    {"openbookqa", "openbookqa_test.jsonl", "question", "", "", true},
    {"social_iqa", "social_iqa_val.jsonl", "question", "Q: ", "\nA:", false},
};

SuiteTask open_question_task(const QuestionTask& form, const fs::path& folder) {
  const fs::path file = folder / form.file;
  SuiteTask task = task_of_files(form.name, {file});
  make_choices_of(task, read_choice_records(file, form.question_field),
                  [form](const ChoiceRecord& record) {
                    return choices_after(form.before + record.question + form.after, record);
                  });
  if (form.is_normalized) {
    task.scores = {"acc_norm", "acc"};
  } else {
    task.scores = {"acc"};
  }
  return task;
}

/// The rest of the sentence is scored after each of the names that may fill its gap.
SuiteTask open_winogrande(const fs::path& folder) {
  const fs::path file = folder / "winogrande_xl_val.jsonl";
  SuiteTask task = task_of_files("winogrande", {file});
  std::vector<ChoiceRecord> records = read_choice_records(file, "question");
  for (const ChoiceRecord& record : records) {
    LG_CHECK(record.question.find('_') != std::string::npos, file.string(), ": item ", record.id,
             ": field question: expected a sentence with _ for its gap, found \"", record.question,
             "\".");
  }
  make_choices_of(task, std::move(records), [](const ChoiceRecord& record) {
    const size_t gap = record.question.find('_');
    const std::string rest = " " + stripped(record.question.substr(gap + 1));
    ChoiceItem item{.id = record.id, .choices = {}, .gold = record.gold};
    for (const std::string& choice : record.choices) {
      item.choices.push_back({record.question.substr(0, gap) + choice, rest});
    }
    return item;
  });
  task.scores = {"acc"};
  return task;
}

struct Passage {
  std::string id, context, last_word;
};

/// LAMBADA asks whether the model would write the last word of a passage.
SuiteTask open_lambada(const fs::path& folder) {
  const fs::path file = folder / "lambada_openai_test.jsonl";
  SuiteTask task = task_of_files("lambada_openai", {file});
  std::vector<Passage> passages;
  for_each_item_line(file, [&](const JsonObject& line) {
    const std::string text = line.string("text");
    const size_t space = text.rfind(' ');
    LG_CHECK(space != std::string::npos && space > 0 && space + 1 < text.size(), line.where("text"),
             ": expected words with spaces between, found \"", text, "\".");
    passages.push_back(
        {std::to_string(passages.size()), text.substr(0, space), text.substr(space)});
  });
  make_choices_of(task, std::move(passages), [](const Passage& passage) {
    return ChoiceItem{.id = passage.id, .choices = {{passage.context, passage.last_word}}};
  });
  task.scores = {"acc", "nll"};
  return task;
}

struct Function {
  std::string id, prompt;
};

/// HumanEval's prompts, with lm-eval's ends. A score would need the replies to be run, which
/// longgen does with nobody's code: they are kept for who has a place for that.
SuiteTask open_humaneval(const fs::path& folder) {
  const fs::path file = folder / "humaneval.jsonl";
  SuiteTask task = task_of_files("humaneval", {file});
  std::vector<Function> functions;
  for_each_item_line(file, [&](const JsonObject& line) {
    functions.push_back({line.string("task_id"), line.string("prompt")});
  });
  make_replies_of(task, std::move(functions), [](const Function& function) {
    GenerationItem item;
    item.id = function.id;
    item.prompt = function.prompt;
    item.new_tokens = 1024;
    item.stops = {"\nclass", "\ndef", "\n#", "\nif", "\nprint"};
    return item;
  });
  return task;
}

}  // namespace

const std::vector<std::string>& short_task_names() {
  static const std::vector<std::string> names = {
      "lambada_openai", "hellaswag",  "piqa", "arc_easy",   "arc_challenge", "winogrande",
      "openbookqa",     "social_iqa", "mmlu", "mmlu_cloze", "gsm8k",         "humaneval"};
  return names;
}

const std::vector<std::string>& short_group() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> scored = short_task_names();
    std::erase(scored, "mmlu_cloze");
    std::erase(scored, "humaneval");
    return scored;
  }();
  return names;
}

SuiteTask task_of_files(const std::string& name, const std::vector<fs::path>& files) {
  SuiteTask task{.name = name, .group = kShortGroup, .scores = {}};
  for (const fs::path& file : files) {
    LG_CHECK(fs::exists(file), file.string(), ": missing. The task ", name,
             " needs it in the folder of --items; docs/suites.md says how to get it.");
    task.settings[file.filename().string()] = hash_hex(MappedFile(file).bytes());
  }
  return task;
}

ChoiceItem choices_after(const std::string& context, const ChoiceRecord& record) {
  ChoiceItem item{.id = record.id, .choices = {}, .gold = record.gold};
  for (const std::string& choice : record.choices) item.choices.push_back({context, " " + choice});
  return item;
}

SuiteTask open_short_task(const std::string& name, const ShortTaskOptions& options) {
  for (const QuestionTask& form : kQuestionTasks) {
    if (name == form.name) return open_question_task(form, options.folder);
  }
  if (name == "lambada_openai") return open_lambada(options.folder);
  if (name == "winogrande") return open_winogrande(options.folder);
  if (name == "mmlu" || name == "mmlu_cloze") return open_mmlu(name, options);
  if (name == "gsm8k") return open_gsm8k(options.folder);
  if (name == "humaneval") return open_humaneval(options.folder);
  LG_FAIL("[tasks] expected ", listed_names(short_task_names()), ", found \"", name, "\".");
}

}  // namespace longgen
