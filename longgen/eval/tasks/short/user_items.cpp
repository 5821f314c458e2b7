// Files of the user's, in the two forms of items.
#include <algorithm>
#include <array>

#include "longgen/base/ascii.h"
#include "longgen/base/check.h"
#include "longgen/base/choice.h"
#include "longgen/eval/answer_score.h"
#include "longgen/eval/suite/item_lines.h"
#include "longgen/eval/tasks/short/file_tasks.h"

namespace longgen {
namespace {

enum class Match { any, all, exact, number };
constexpr Choice<Match, 4> kMatches = {{{{"any", Match::any},
                                         {"all", Match::all},
                                         {"exact", Match::exact},
                                         {"number", Match::number}}}};

constexpr int64_t kMostNewTokens = 1 << 20;

/// A field that nobody reads is likely a misspelt one. `note` is the user's own.
void check_fields(const JsonObject& line, const std::vector<std::string>& known) {
  for (const auto& [field, value] : line.value().items()) {
    LG_CHECK(std::find(known.begin(), known.end(), field) != known.end(), line.source(),
             ": expected the fields ", listed_names(known), ", found \"", field, "\".",
             did_you_mean(field, known));
  }
}

ChoiceItem read_choice(const JsonObject& line, size_t number) {
  check_fields(line, {"id", "context", "question", "choices", "gold", "delimiter", "note"});
  LG_CHECK(line.has("context") != line.has("question"), line.source(),
           ": expected one of the fields context and question, found ",
           line.has("context") ? "both." : "none.");
  const std::string context = line.has("context")
                                  ? line.string("context")
                                  : "Question: " + line.string("question") + "\nAnswer:";
  const std::string delimiter = line.string("delimiter", " ");
  ChoiceItem item{.id = item_id(line, number), .choices = {}};
  for (const std::string& choice : item_texts(line, "choices", 1)) {
    item.choices.push_back({context, delimiter + choice});
  }
  item.gold = line.integer("gold", 0, static_cast<int64_t>(item.choices.size()) - 1);
  return item;
}

double score_match(Match match, std::string_view reply,
                   const std::vector<std::string>& references) {
  if (match == Match::any) return score_any_answer(reply, references);
  if (match == Match::all) return score_all_answers(reply, references);
  return std::any_of(references.begin(), references.end(), [&](const std::string& reference) {
    if (match == Match::number) return score_gsm8k_flexible(reply, reference) == 1;
    return ascii_lower(stripped(std::string(reply))) == ascii_lower(stripped(reference));
  });
}

GenerationItem read_generation(const JsonObject& line, size_t number) {
  check_fields(line, {"id", "prompt", "answer_prefix", "references", "match", "new_tokens", "stops",
                      "note"});
  GenerationItem item;
  item.id = item_id(line, number);
  item.prompt = line.string("prompt");
  item.answer_prefix = line.string("answer_prefix", "");
  LG_CHECK(!item.prompt.empty(), line.where("prompt"),
           ": expected a text that the model continues, found an empty one.");
  item.new_tokens = line.integer("new_tokens", 1, kMostNewTokens, 128);
  if (line.has("stops")) item.stops = item_texts(line, "stops", 1);
  const Match match = kMatches.parse(line.string("match", "any"), line.where("match"));
  if (!line.has("references")) {
    LG_CHECK(!line.has("match"), line.where("match"),
             ": there are no references that a reply could match. Give some, or leave it out.");
    return item;
  }
  item.references = item_texts(line, "references", 1);
  for (const std::string& reference : item.references) {
    LG_CHECK(match != Match::number || reference.find_first_of("0123456789") != std::string::npos,
             line.where("references"), ": expected numbers (match is number), found \"", reference,
             "\".");
  }
  item.score = [match, references = item.references](std::string_view reply) {
    return score_match(match, reply, references);
  };
  return item;
}

template <typename Item, typename Read>
std::vector<Item> read_items(const fs::path& file, Read read) {
  std::vector<Item> items;
  UniqueIds ids;
  for_each_item_line(file, [&](const JsonObject& line) {
    items.push_back(read(line, items.size()));
    ids.add(items.back().id, line);
  });
  return items;
}

bool has_choices(const fs::path& file) {
  std::optional<bool> choices;
  for_each_item_line(file, [&](const JsonObject& line) {
    if (choices) return;
    choices = line.value().contains("choices");
    LG_CHECK(*choices || line.value().contains("prompt"), line.source(),
             ": expected an item with \"choices\" or with \"prompt\", found neither.");
  });
  return *choices;
}

/// Makes a name for files and tables of any file's name.
std::string task_name(const fs::path& file) {
  std::string name = file.stem().string().substr(0, 60);
  for (char& c : name) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.';
    if (!plain) c = '_';
  }
  if (name.starts_with('.')) name[0] = '_';
  return name;
}

}  // namespace

SuiteTask open_user_task(const fs::path& file) {
  LG_CHECK(fs::is_regular_file(file), file.string(),
           ": expected a file of JSON lines (--tasks jsonl:FILE), found ",
           fs::exists(file) ? "something else." : "nothing of this name.");
  SuiteTask task = task_of_files(task_name(file), {file});
  task.group = kUserGroup;
  if (has_choices(file)) {
    auto items = read_items<ChoiceItem>(file, read_choice);
    const bool one_each = std::any_of(items.begin(), items.end(), [](const ChoiceItem& item) {
      return item.choices.size() == 1;
    });
    make_choices_of(task, std::move(items), [](const ChoiceItem& item) { return item; });
    if (one_each) {
      task.scores = {"acc", "nll"};
    } else {
      task.scores = {"acc_norm", "acc"};
    }
  } else {
    auto items = read_items<GenerationItem>(file, read_generation);
    const bool scored = std::any_of(items.begin(), items.end(),
                                    [](const GenerationItem& item) { return bool(item.score); });
    make_replies_of(task, std::move(items), [](const GenerationItem& item) { return item; });
    if (scored) task.scores = {"score"};
  }
  return task;
}

}  // namespace longgen
