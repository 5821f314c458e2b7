#include "longgen/tokenizer/special_tokens.h"

#include <cstdint>

#include "longgen/base/json.h"

namespace longgen {
namespace {

constexpr int64_t kMaxFileBytes = 64 << 20;  // lists of added tokens can be long

/// Reads one of the files, and says whether it lists all added tokens.
bool add_tokens(const fs::path& file, std::map<std::string, std::string>& tokens) {
  if (!fs::exists(file)) return false;
  const Json json = parse_json(read_file(file, kMaxFileBytes), file.string());
  const JsonObject root(json, file.string());
  for (const char* name : kSpecialTokenNames) {
    if (!root.has(name)) continue;
    tokens[name] =
        root.raw(name).is_object() ? root.object(name).string("content") : root.string(name);
  }
  return root.has("added_tokens_decoder");
}

}  // namespace

std::map<std::string, std::string> read_special_tokens(const fs::path& model_directory) {
  std::map<std::string, std::string> tokens;
  if (!add_tokens(model_directory / "tokenizer_config.json", tokens)) {
    add_tokens(model_directory / "special_tokens_map.json", tokens);
  }
  return tokens;
}

}  // namespace longgen
