#include "longgen/eval/tasks/long_task.h"

#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/nearest_name.h"
#include "longgen/eval/tasks/babilong.h"
#include "longgen/eval/tasks/ruler_niah.h"
#include "longgen/eval/tasks/ruler_qa.h"
#include "longgen/eval/tasks/ruler_tracking.h"
#include "longgen/eval/tasks/ruler_words.h"
#include "longgen/eval/tasks/task_material.h"

namespace longgen {

LongTasks::LongTasks(const Tokenizer& tokenizer, LongTaskOptions options)
    : material_(std::make_shared<TaskMaterial>(tokenizer, std::move(options))) {}

const std::vector<std::string>& LongTasks::ruler_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const NiahSettings& settings : niah_settings()) all.emplace_back(settings.name);
    all.insert(all.end(), {"vt", "cwe", "fwe", "qa_1", "qa_2"});
    return all;
  }();
  return names;
}

const std::vector<std::string>& LongTasks::babilong_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all;
    for (const BabilongPrompt& prompt : babilong_prompts()) all.push_back(prompt.name);
    return all;
  }();
  return names;
}

std::unique_ptr<LongTask> LongTasks::make(const std::string& name) const {
  for (const NiahSettings& settings : niah_settings()) {
    if (settings.name == name) return make_niah_task(settings, material_);
  }
  for (const BabilongPrompt& prompt : babilong_prompts()) {
    if (prompt.name == name) return make_babilong_task(prompt, material_);
  }
  if (name == "vt") return make_tracking_task(material_);
  if (name == "cwe") return make_common_words_task(material_);
  if (name == "fwe") return make_frequent_words_task(material_);
  if (name == "qa_1" || name == "qa_2") return make_qa_task(name, material_);
  std::vector<std::string> names = ruler_names();
  names.insert(names.end(), babilong_names().begin(), babilong_names().end());
  LG_FAIL("[long_tasks] expected ", listed_names(names), ", found \"", name, "\".",
          did_you_mean(name, names));
}

std::vector<fs::path> LongTasks::texts() const { return material_->texts(); }

}  // namespace longgen
