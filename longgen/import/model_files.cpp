#include "longgen/import/model_files.h"

#include <algorithm>
#include <string_view>

#include "longgen/base/ascii.h"
#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/model/eos_tokens.h"
#include "longgen/tokenizer/tokenizer.h"

namespace longgen {
namespace {

constexpr int64_t kMaxJsonBytes = 16 << 20;
constexpr const char* kTemplates = "additional_chat_templates";

constexpr std::string_view kNames[] = {
    "added_tokens.json",
    "chat_template.jinja",
    "chat_template.json",
    "generation_config.json",
    "merges.txt",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
};
constexpr std::string_view kTermsOfUse[] = {"license", "licence", "notice", "copying",
                                            "use_policy"};

bool belongs_to_the_model(std::string name) {
  if (std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames)) return true;
  name = ascii_lower(name);
  return std::any_of(std::begin(kTermsOfUse), std::end(kTermsOfUse),
                     [&](std::string_view begin) { return name.starts_with(begin); });
}

void expect_tokenizer(const fs::path& directory) {
  const fs::path file = directory / "tokenizer.json";
  std::error_code failed;
  LG_CHECK(fs::exists(file, failed), file.string(),
           ": no such file. longgen reads this form of the tokenizer only; transformers writes it: "
           "AutoTokenizer.from_pretrained(DIR).save_pretrained(DIR).");
}

/// Calls visit(name) for each regular file of a folder, links to files included.
void for_each_file(const fs::path& folder, const auto& visit) {
  std::error_code failed;
  for (fs::directory_iterator entry(folder, failed), end; !failed && entry != end;
       entry.increment(failed)) {
    std::error_code strange;  // a dangling link is no file
    if (entry->is_regular_file(strange)) visit(entry->path().filename().string());
  }
  LG_CHECK(!failed, folder.string(), ": cannot be read: ", failed.message(), ".");
}

}  // namespace

void check_model_files(const fs::path& directory, const ModelConfig& config) {
  expect_tokenizer(directory);
  Tokenizer::load(directory);
  for (const char* name : {"tokenizer_config.json", "generation_config.json"}) {
    const fs::path file = directory / name;
    if (!fs::exists(file)) continue;
    const Json value = parse_json(read_file(file, kMaxJsonBytes), file.string());
    const JsonObject json(value, file.string());
    if (std::string_view(name) == "generation_config.json") read_eos_ids(json, config.vocab_size);
  }
}

void copy_model_files(const fs::path& from, const fs::path& to) {
  expect_tokenizer(from);
  for_each_file(from, [&](const std::string& name) {
    if (belongs_to_the_model(name)) copy_regular_file(from / name, to / name);
  });
  const fs::path templates = from / kTemplates;
  if (!fs::is_directory(templates)) return;
  make_folder(to / kTemplates);
  for_each_file(templates, [&](const std::string& name) {
    if (name.ends_with(".jinja")) copy_regular_file(templates / name, to / kTemplates / name);
  });
}

}  // namespace longgen
