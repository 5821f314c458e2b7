#include "longgen/eval/tasks/task_material.h"

#include <set>
#include <string_view>
#include <utility>

#include "longgen/base/check.h"
#include "longgen/eval/needle.h"
#include "longgen/eval/read_haystack.h"
#include "longgen/eval/tasks/text_lines.h"

namespace longgen {
namespace {

constexpr const char* kHowToGet = "docs/long_tasks.md says how to get it.";

}  // namespace

TaskMaterial::TaskMaterial(const Tokenizer& tokenizer, LongTaskOptions options)
    : tokenizer_(tokenizer),
      options_(std::move(options)),
      fitter_(tokenizer, options_.wrap),
      noise_(tokenizer, Haystack::noise()) {}

const CountedHaystack& TaskMaterial::text() const {
  if (!text_) text_.emplace(tokenizer_, read_haystack(texts()));
  return *text_;
}

std::vector<fs::path> TaskMaterial::texts() const {
  if (!options_.texts.empty()) return options_.texts;
  for (const char* place : {"text", "wikitext2/test.txt"}) {
    if (fs::exists(options_.folder / place)) return {options_.folder / place};
  }
  LG_FAIL(options_.folder.string(),
          ": expected texts to hide needles and facts in, in text/ or wikitext2/test.txt, found "
          "neither. Name files with --text; books serve best (docs/long_tasks.md).");
}

fs::path TaskMaterial::file(const fs::path& relative, const std::string& what) const {
  fs::path path = options_.folder / relative;
  LG_CHECK(fs::exists(path), path.string(), ": expected ", what, ", found no such file. ",
           kHowToGet);
  return path;
}

std::vector<std::string> TaskMaterial::words(const fs::path& relative) const {
  const fs::path path = file(relative, "a list of words, one a line");
  std::vector<std::string> words;
  for_each_line(path, [&](std::string_view line, const std::string&) { words.emplace_back(line); });
  LG_CHECK(!words.empty(), path.string(), ": expected a list of words, one a line, found none. ",
           kHowToGet);
  return words;
}

uint64_t TaskMaterial::key(const std::string& task) const {
  uint64_t key = options_.seed;
  for (const char c : task) key = mix_pair(key, static_cast<unsigned char>(c));
  return key;
}

uint64_t TaskMaterial::key(const std::string& task, int64_t length_tokens, int64_t index) const {
  return mix_pair(mix_pair(key(task), static_cast<uint64_t>(length_tokens)),
                  static_cast<uint64_t>(index));
}

void check_sample(const std::string& task, int64_t length_tokens, int64_t index) {
  LG_CHECK(length_tokens >= 1 && length_tokens <= NeedleTask::kMaxLengthTokens, "[", task,
           "] length: expected 1 to ", NeedleTask::kMaxLengthTokens, " tokens, found ",
           length_tokens, ".");
  LG_CHECK(index >= 0, "[", task, "] sample index: expected at least 0, found ", index, ".");
}

std::string sample_id(int64_t length_tokens, int64_t index) {
  return detail::concat(length_tokens, "/", index);
}

std::vector<int64_t> draw_ascending(RandomStream& random, int64_t count, int64_t bound) {
  LG_DCHECK(count <= bound);
  std::set<int64_t> drawn;
  while (static_cast<int64_t>(drawn.size()) < count) {
    drawn.insert(static_cast<int64_t>(random.below(static_cast<uint64_t>(bound))));
  }
  return {drawn.begin(), drawn.end()};
}

}  // namespace longgen
