#include "longgen/eval/tasks/open_tasks.h"

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string_view>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/base/nearest_name.h"
#include "longgen/base/units.h"
#include "longgen/checkpoint/directory_hash.h"
#include "longgen/eval/tasks/long_task.h"
#include "longgen/eval/tasks/short/short_tasks.h"

namespace longgen {
namespace {

constexpr const char* kRulerGroup = "ruler";
constexpr const char* kBabilongGroup = "babilong";
constexpr std::string_view kUserTask = "jsonl:";

bool is_among(const std::string& name, const std::vector<std::string>& names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Puts tasks in place of groups.
std::vector<std::string> names_of_tasks(const OpenTasksOptions& options) {
  const std::pair<const char*, const std::vector<std::string>&> groups[] = {
      {kRulerGroup, LongTasks::ruler_names()},
      {kBabilongGroup, LongTasks::babilong_names()},
      {kShortGroup, short_group()}};
  const std::vector<std::string> known = suite_task_names();
  std::vector<std::string> names;
  for (const std::string& name : options.names) {
    const auto group = std::find_if(std::begin(groups), std::end(groups),
                                    [&](const auto& one) { return one.first == name; });
    if (group != std::end(groups)) {
      names.insert(names.end(), group->second.begin(), group->second.end());
      continue;
    }
    LG_CHECK(name.starts_with(kUserTask) || is_among(name, known), "--tasks: expected ",
             listed_names(known), ", or ", kUserTask, "FILE, found \"", name, "\".",
             did_you_mean(name, known));
    names.push_back(name);
  }
  return names;
}

/// One hash of all files below a file or folder.
std::string hash_below(const fs::path& path) {
  return fs::is_directory(path) ? hash_directory(path) : hash_file(path);
}

/// The long tasks, which share their texts.
class LongTaskOpener {
 public:
  LongTaskOpener(const Tokenizer& tokenizer, const OpenTasksOptions& options)
      : options_(options),
        lengths_(options.lengths_tokens),
        tasks_(tokenizer, {.folder = options.folder,
                           .texts = options.texts,
                           .seed = options.seed,
                           .wrap = options.wrap}) {
    if (lengths_.empty()) lengths_ = {4096, 8192, 16384};
    std::set<int64_t> once;
    for (const int64_t length : lengths_) {
      LG_CHECK(once.insert(length).second, "--lengths: ", format_count(length, "token"),
               " stand there twice.");
    }
    settings_ = {{"seed", options.seed}, {"tokenizer", tokenizer.hash()}};
    if (options.wrap) settings_["chat_format"] = hash_hex(options.wrap("?").text);
    for (const fs::path& text : texts_of(tasks_)) {
      settings_["text " + text.filename().string()] = hash_below(text);
    }
  }

  void open(const std::string& name, std::vector<SuiteTask>& tasks) {
    const std::shared_ptr<const LongTask> maker = tasks_.make(name);
    // What is wrong with the files, or a length that has no room, is told before anything runs.
    (void)maker->item(*std::min_element(lengths_.begin(), lengths_.end()), 0);
    const bool is_ruler = is_among(name, LongTasks::ruler_names());
    for (const int64_t length : lengths_) {
      SuiteTask task{.name = name,
                     .group = is_ruler ? kRulerGroup : kBabilongGroup,
                     .length_tokens = length,
                     .num_items = options_.samples > 0 ? options_.samples : kLongSamples,
                     .scores = {"score"}};
      task.generation = [maker, length](int64_t number) { return maker->item(length, number); };
      task.settings = settings_;
      for (const char* folder : is_ruler ? kRulerFolders : kBabilongFolders) {
        if (folder == nullptr || !fs::exists(options_.folder / folder)) continue;
        task.settings[folder] = hash_of(folder);
      }
      tasks.push_back(std::move(task));
    }
  }

 private:
  static constexpr const char* kRulerFolders[] = {"words", "qa"};
  static constexpr const char* kBabilongFolders[] = {"babi", nullptr};

  /// A task that hides nothing in a text needs none, and says so itself where it does.
  static std::vector<fs::path> texts_of(const LongTasks& tasks) {
    try {
      return tasks.texts();
    } catch (const Error&) {
      return {};
    }
  }

  const std::string& hash_of(const std::string& folder) {
    std::string& hash = hashes_[folder];
    if (hash.empty()) hash = hash_below(options_.folder / folder);
    return hash;
  }

  const OpenTasksOptions& options_;
  std::vector<int64_t> lengths_;
  LongTasks tasks_;
  OrderedJson settings_;
  std::map<std::string, std::string> hashes_;
};

/// The files of the short tasks: FOLDER/short where it is there, else FOLDER itself.
fs::path short_folder(const fs::path& folder) {
  return fs::is_directory(folder / kShortGroup) ? folder / kShortGroup : folder;
}

/// Refuses an option that none of the tasks reads.
void check_options(const std::vector<std::string>& names, const OpenTasksOptions& options) {
  bool has_files = false, has_long = false, has_mmlu = false;
  for (const std::string& name : names) {
    if (name.starts_with(kUserTask)) continue;
    has_files = true;
    has_long = has_long || !is_among(name, short_task_names());
    has_mmlu = has_mmlu || name.starts_with("mmlu");
  }
  LG_CHECK(has_files || options.folder.empty(), "--items ", options.folder.string(),
           ": none of --tasks reads from a folder.");
  LG_CHECK(options.folder.empty() || fs::is_directory(options.folder), "--items ",
           options.folder.string(), ": expected a folder, found ",
           fs::exists(options.folder) ? "something else." : "nothing of this name.");
  LG_CHECK(has_long || options.lengths_tokens.empty(),
           "--lengths: none of --tasks has a length: they are for ruler and babilong.");
  LG_CHECK(has_long || options.texts.empty(),
           "--text: none of --tasks hides anything in a text: it is for ruler and babilong.");
  LG_CHECK(has_mmlu || options.shots == 0,
           "--shots: none of --tasks has solved questions: they are for mmlu and mmlu_cloze.");
}

}  // namespace

std::vector<std::string> suite_task_names() {
  std::vector<std::string> names = {kRulerGroup, kBabilongGroup, kShortGroup};
  for (const auto& tasks :
       {LongTasks::ruler_names(), LongTasks::babilong_names(), short_task_names()}) {
    names.insert(names.end(), tasks.begin(), tasks.end());
  }
  return names;
}

std::vector<SuiteTask> open_tasks(const Tokenizer& tokenizer, const OpenTasksOptions& options) {
  std::vector<SuiteTask> tasks;
  std::unique_ptr<LongTaskOpener> long_tasks;
  const std::vector<std::string> names = names_of_tasks(options);
  check_options(names, options);
  for (const std::string& name : names) {
    if (name.starts_with(kUserTask)) {
      LG_CHECK(name.size() > kUserTask.size(), "--tasks: expected a file behind ", kUserTask,
               ", found none.");
      tasks.push_back(
          sampled(open_user_task(name.substr(kUserTask.size())), options.samples, options.seed));
      continue;
    }
    LG_CHECK(!options.folder.empty(), "the task ", name,
             " reads its items from a folder: name it with --items DIR (docs/suites.md says what "
             "it holds).");
    if (is_among(name, short_task_names())) {
      tasks.push_back(sampled(
          open_short_task(name, {.folder = short_folder(options.folder), .shots = options.shots}),
          options.samples, options.seed));
      continue;
    }
    if (!long_tasks) long_tasks = std::make_unique<LongTaskOpener>(tokenizer, options);
    long_tasks->open(name, tasks);
  }
  std::set<std::string> labels;
  for (const SuiteTask& task : tasks) {
    LG_CHECK(labels.insert(task.label()).second, "--tasks: ", task.label(), " is named twice",
             task.group == kUserGroup ? ": items are kept by the name of their file." : ".");
  }
  return tasks;
}

}  // namespace longgen
