#include "longgen/tokenizer/added_tokens.h"

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/tokenizer/component.h"
#include "longgen/tokenizer/unicode.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

// Bounds the search: a token can be tried at every position of the text.
constexpr size_t kMaxContentBytes = 1024;
constexpr size_t kMaxAddedTokens = 1 << 20;

bool is_space_at(std::string_view text, size_t position) {
  return char_class(decode_valid_utf8(text.data() + position).code_point) == CharClass::space;
}

bool is_word_at(std::string_view text, size_t position) {
  return is_word_char(decode_valid_utf8(text.data() + position).code_point);
}

}  // namespace

AddedToken read_added_token(const JsonObject& object) {
  AddedToken token;
  token.where = object.where("content");
  token.content = object.string("content");
  LG_CHECK(!token.content.empty() && token.content.size() <= kMaxContentBytes, token.where,
           ": expected 1 to ", kMaxContentBytes, " bytes, found ", token.content.size(), ".");
  token.special = object.boolean("special", false);
  token.single_word = object.boolean("single_word", false);
  token.lstrip = object.boolean("lstrip", false);
  token.rstrip = object.boolean("rstrip", false);
  token.normalized = object.boolean("normalized", !token.special);
  return token;
}

void AddedTokens::Finder::add(std::string_view content, size_t token) {
  uint32_t node = 0;
  for (const char c : content) {
    const uint64_t edge = uint64_t{node} << 8 | static_cast<unsigned char>(c);
    const auto [it, is_new] = edges_.try_emplace(edge, static_cast<uint32_t>(token_of_.size()));
    if (is_new) token_of_.push_back(-1);
    node = it->second;
  }
  if (node == 0) return;
  // Of two contents that normalize to one, the first counts.
  if (token_of_[node] < 0) token_of_[node] = static_cast<int64_t>(token);
  starts_[static_cast<unsigned char>(content[0])] = true;
}

bool AddedTokens::accept(std::string_view text, const SpecialPlaces& where, size_t done,
                         Finder::Match& match) const {
  const AddedToken& token = tokens_[match.token];
  if (token.special && where.kind == SpecialPlaces::Kind::nowhere) return false;
  if (token.single_word) {
    if (match.begin > 0 && is_word_at(text, previous_utf8(text, match.begin))) return false;
    if (match.end < text.size() && is_word_at(text, match.end)) return false;
  }
  if (token.lstrip) {
    while (match.begin > done && is_space_at(text, previous_utf8(text, match.begin))) {
      match.begin = previous_utf8(text, match.begin);
    }
  }
  if (token.rstrip) {
    while (match.end < text.size() && is_space_at(text, match.end)) {
      match.end += decode_valid_utf8(text.data() + match.end).length;
    }
  }
  return true;
}

std::vector<AddedToken> AddedTokens::read(const JsonObject& root) {
  std::vector<AddedToken> tokens;
  if (!root.has("added_tokens")) return tokens;
  const std::vector<JsonObject> objects = read_objects(root, "added_tokens");
  LG_CHECK(objects.size() <= kMaxAddedTokens, root.where("added_tokens"), ": expected at most ",
           kMaxAddedTokens, " tokens, found ", objects.size(), ".");
  tokens.reserve(objects.size());
  for (const JsonObject& object : objects) {
    check_keys(object,
               {"id", "content", "special", "single_word", "lstrip", "rstrip", "normalized"});
    tokens.push_back(read_added_token(object));
    tokens.back().id = static_cast<int32_t>(object.integer("id", 0, INT32_MAX - 1));
  }
  return tokens;
}

AddedTokens::AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer)
    : tokens_(std::move(tokens)) {
  std::unordered_set<std::string_view> contents;
  std::unordered_set<int32_t> ids;
  RegexScratch scratch;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    AddedToken& token = tokens_[i];
    LG_CHECK(contents.insert(token.content).second, token.where, ": \"", token.content,
             "\" stands twice among the added tokens.");
    LG_CHECK(ids.insert(token.id).second, token.where, ": id ", token.id,
             " stands twice among the added tokens.");
    if (token.special) special_ids_.insert(token.id);
    normalizes_special_ |= token.special && token.normalized;
    std::string buffer;
    const std::string_view normal = normalizer.apply(token.content, scratch, buffer);
    token.spelling = token.normalized ? std::string(normal) : token.content;
    (token.normalized ? normalized_ : raw_).add(token.spelling, i);
  }
}

}  // namespace longgen
