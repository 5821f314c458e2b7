#include "longgen/model/eos_tokens.h"

namespace longgen {
namespace {

constexpr const char* kKey = "eos_token_id";
constexpr int64_t kMaxFileBytes = 16 << 20;

}  // namespace

std::vector<int64_t> read_eos_ids(const JsonObject& json, int64_t vocab_size) {
  if (!json.has(kKey)) return {};
  if (json.raw(kKey).is_array()) return json.integers(kKey, 0, vocab_size - 1);
  return {json.integer(kKey, 0, vocab_size - 1)};
}

std::vector<int64_t> read_eos_ids(const fs::path& file, int64_t vocab_size) {
  if (!fs::exists(file)) return {};
  const Json json = parse_json(read_file(file, kMaxFileBytes), file.string());
  return read_eos_ids(JsonObject(json, file.string()), vocab_size);
}

}  // namespace longgen
