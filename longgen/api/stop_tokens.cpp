#include "longgen/api/stop_tokens.h"

#include <set>

#include "longgen/model/eos_tokens.h"

namespace longgen {

std::vector<int32_t> find_stop_tokens(const Tokenizer& tokenizer, const fs::path& model_directory,
                                      const std::vector<std::string>& names) {
  std::set<int32_t> ids;
  for (const char* file : {"generation_config.json", "config.json"}) {
    for (const int64_t id : read_eos_ids(model_directory / file, tokenizer.vocab_size())) {
      ids.insert(static_cast<int32_t>(id));
    }
  }
  for (const std::string& name : names) {
    if (const auto id = tokenizer.token_id(name)) ids.insert(*id);
  }
  return {ids.begin(), ids.end()};
}

}  // namespace longgen
