#include "longgen/data/document_tokens.h"

#include <algorithm>
#include <string>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/model/eos_tokens.h"
#include "longgen/tokenizer/special_tokens.h"

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

std::optional<int32_t> named_eos(const Tokenizer& tokenizer, const fs::path& model_directory) {
  const auto tokens = read_special_tokens(model_directory);
  const auto eos = tokens.find("eos_token");
  if (eos == tokens.end() || eos->second.empty()) return std::nullopt;
  const std::optional<int32_t> id = tokenizer.token_id(eos->second);
  LG_DCHECK(id);  // Tokenizer::load() adds the tokens that these files name.
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
    if (tokens.end) continue;
    const std::vector<int64_t> ids = read_eos_ids(model_directory / name, tokenizer.vocab_size());
    if (!ids.empty()) tokens.end = static_cast<int32_t>(ids.front());
  }
  if (!tokens.end) tokens.end = named_eos(tokenizer, model_directory);
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
