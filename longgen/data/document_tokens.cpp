#include "longgen/data/document_tokens.h"

#include <algorithm>
#include <string>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/base/json.h"

namespace longgen {
namespace {

using Ids = std::vector<int32_t>;

/// Finds what the post-processor adds, by looking at a text with and without it.
void added_tokens(const Tokenizer& tokenizer, Ids& before, Ids& after) {
  const Ids plain = tokenizer.encode("a", {.add_special_tokens = false, .parse_special = false});
  const Ids with = tokenizer.encode("a", {.add_special_tokens = true, .parse_special = false});
  const auto text = std::search(with.begin(), with.end(), plain.begin(), plain.end());
  before.assign(with.begin(), text);
  after.assign(text + static_cast<ptrdiff_t>(plain.size()), with.end());
}

std::optional<int32_t> single(const Ids& ids, const fs::path& model, const char* side) {
  LG_CHECK(ids.size() <= 1, (model / "tokenizer.json").string(),
           ": field post_processor: expected at most one token ", side, " a text, found ",
           ids.size(), ". Say with --begin-token and --end-token which ones to use.");
  return ids.empty() ? std::nullopt : std::optional(ids.front());
}

std::optional<int32_t> eos_from_config(const Tokenizer& tokenizer, const fs::path& path) {
  if (!fs::exists(path)) return std::nullopt;
  const Json json = parse_json(read_file(path), path.string());
  const JsonObject root(json, path.string());
  const std::string key = "eos_token_id";
  if (!root.has(key)) return std::nullopt;
  const int64_t largest = tokenizer.vocab_size() - 1;
  if (!root.raw(key).is_array()) return static_cast<int32_t>(root.integer(key, 0, largest));
  const std::vector<int64_t> ids = root.integers(key, 0, largest);
  return ids.empty() ? std::nullopt : std::optional(static_cast<int32_t>(ids.front()));
}

std::optional<int32_t> eos_from_tokenizer_config(const Tokenizer& tokenizer, const fs::path& path) {
  if (!fs::exists(path)) return std::nullopt;
  const Json json = parse_json(read_file(path), path.string());
  const JsonObject root(json, path.string());
  const std::string key = "eos_token";
  if (!root.has(key)) return std::nullopt;
  const std::string token =
      root.raw(key).is_object() ? root.object(key).string("content") : root.string(key);
  if (token.empty()) return std::nullopt;
  const std::optional<int32_t> id = tokenizer.token_id(token);
  LG_CHECK(id, root.where(key), ": expected a token of tokenizer.json, found \"", token, "\".");
  return id;
}

}  // namespace

DocumentTokens find_document_tokens(const Tokenizer& tokenizer, const fs::path& model_directory) {
  Ids before, after;
  added_tokens(tokenizer, before, after);
  DocumentTokens tokens;
  tokens.begin = single(before, model_directory, "before");
  tokens.end = single(after, model_directory, "after");
  for (const char* name : {"generation_config.json", "config.json"}) {
    if (!tokens.end) tokens.end = eos_from_config(tokenizer, model_directory / name);
  }
  if (!tokens.end) {
    tokens.end = eos_from_tokenizer_config(tokenizer, model_directory / "tokenizer_config.json");
  }
  return tokens;
}

void check_in_model(const DocumentTokens& tokens, const Tokenizer& tokenizer,
                    const fs::path& model_directory) {
  const fs::path path = model_directory / "config.json";
  if (!fs::exists(path)) return;
  const Json json = parse_json(read_file(path), path.string());
  const JsonObject root(json, path.string());
  if (!root.has("vocab_size")) return;
  const int64_t vocab_size = root.integer("vocab_size", 1, INT32_MAX);
  for (const auto& id : {tokens.begin, tokens.end}) {
    LG_CHECK(!id || *id < vocab_size, root.where("vocab_size"), ": the model has no id ",
             id.value_or(0), " (vocab_size ", vocab_size, "), which the tokenizer gives to \"",
             tokenizer.token(id.value_or(0)),
             "\", the token around documents. Name another with --begin-token and --end-token.");
  }
}

}  // namespace longgen
