#include "longgen/api/stop_tokens.h"

#include <set>

#include "longgen/base/json.h"

namespace longgen {
namespace {

void add_eos(const fs::path& file, int64_t vocab_size, std::set<int32_t>& ids) {
  if (!fs::exists(file)) return;
  const Json value = parse_json(read_file(file, 16 << 20), file.string());
  const JsonObject json(value, file.string());
  if (!json.has("eos_token_id")) return;
  if (json.raw("eos_token_id").is_array()) {
    for (const int64_t id : json.integers("eos_token_id", 0, vocab_size - 1)) {
      ids.insert(static_cast<int32_t>(id));
    }
  } else {
    ids.insert(static_cast<int32_t>(json.integer("eos_token_id", 0, vocab_size - 1)));
  }
}

}  // namespace

std::vector<int32_t> find_stop_tokens(const Tokenizer& tokenizer, const fs::path& model_directory,
                                      const std::vector<std::string>& names) {
  std::set<int32_t> ids;
  for (const char* file : {"generation_config.json", "config.json"}) {
    add_eos(model_directory / file, tokenizer.vocab_size(), ids);
  }
  for (const std::string& name : names) {
    if (const auto id = tokenizer.token_id(name)) ids.insert(*id);
  }
  return {ids.begin(), ids.end()};
}

}  // namespace longgen
