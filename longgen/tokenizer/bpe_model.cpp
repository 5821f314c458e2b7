#include "longgen/tokenizer/bpe_model.h"

#include <algorithm>
#include <cstdio>

#include "longgen/base/check.h"
#include "longgen/tokenizer/byte_alphabet.h"
#include "longgen/tokenizer/component.h"
#include "longgen/tokenizer/merge_symbols.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

constexpr std::string_view kMetaspace = "\xE2\x96\x81";

// Real vocabularies have few gaps; the bound keeps one huge id from allocating a huge table.
int64_t max_id(size_t num_tokens) { return static_cast<int64_t>(num_tokens) * 2 + 65536; }

std::string fallback_token(unsigned char byte) {
  char text[8];
  std::snprintf(text, sizeof(text), "<0x%02X>", byte);
  return text;
}

void require_empty(const JsonObject& model, const std::string& key) {
  LG_CHECK(model.string(key, "").empty(), model.where(key), ": expected null or \"\", found \"",
           model.string(key).substr(0, 60), "\", which longgen does not support.");
}

/// Reads the two sides of a merge: ["a", "b"] or "a b".
std::pair<std::string_view, std::string_view> sides_of(const Json& merge,
                                                       const std::string& where) {
  if (merge.is_array()) {
    LG_CHECK(merge.size() == 2 && merge[0].is_string() && merge[1].is_string(), where,
             ": expected a pair of strings.");
    return {merge[0].get_ref<const std::string&>(), merge[1].get_ref<const std::string&>()};
  }
  LG_CHECK(merge.is_string(), where, ": expected \"a b\" or [\"a\", \"b\"], found ",
           merge.type_name(), ".");
  const std::string_view text = merge.get_ref<const std::string&>();
  const size_t space = text.find(' ');
  LG_CHECK(space != std::string_view::npos && text.find(' ', space + 1) == std::string_view::npos,
           where, ": expected two tokens with one space between them, found \"", text.substr(0, 60),
           "\".");
  return {text.substr(0, space), text.substr(space + 1)};
}

}  // namespace

BpeModel BpeModel::from_json(const JsonObject& root, bool byte_level) {
  const JsonObject object = root.object("model");
  if (object.string("type", "BPE") != "BPE") refuse_type(object, "model", "BPE");
  check_keys(object,
             {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix",
              "fuse_unk", "byte_fallback", "ignore_merges", "vocab", "merges"});
  LG_CHECK(
      object.number("dropout", 0, 1, 0) == 0, object.where("dropout"),
      ": expected null or 0, found a probability; longgen encodes the same text the same way.");
  require_empty(object, "continuing_subword_prefix");
  require_empty(object, "end_of_word_suffix");
  BpeModel model;
  model.byte_level_ = byte_level;
  model.fuse_unk_ = object.boolean("fuse_unk", false);
  model.byte_fallback_ = object.boolean("byte_fallback", false);
  model.ignore_merges_ = object.boolean("ignore_merges", false);
  model.read_vocab(object);
  model.unk_token_ = object.string("unk_token", "");
  model.unk_id_ = model.token_id(model.unk_token_);
  model.read_single_bytes();
  model.read_merges(object);
  return model;
}

void BpeModel::read_vocab(const JsonObject& model) {
  const JsonObject vocab = model.object("vocab");
  const size_t count = vocab.value().size();
  ids_.reserve(count);
  for (const auto& [token, found] : vocab.value().items()) {
    LG_CHECK(!token.empty(), model.where("vocab"),
             ": expected tokens of at least one character, found \"\".");
    LG_CHECK(found.is_number_integer() && found.is_number_unsigned() &&
                 found.get<uint64_t>() <= static_cast<uint64_t>(max_id(count)),
             model.where("vocab"), ": expected an id from 0 to ", max_id(count), " for \"",
             token.substr(0, 60), "\" (the vocabulary has ", count, " tokens), found ",
             dump_json(found).substr(0, 60), ".");
    const auto id = found.get<size_t>();
    if (id >= tokens_.size()) tokens_.resize(id + 1);
    LG_CHECK(tokens_[id].empty(), model.where("vocab"), ": id ", id, " stands for \"",
             tokens_[id].substr(0, 60), "\" and for \"", token.substr(0, 60), "\".");
    tokens_[id] = token;
    ids_.emplace(token, static_cast<int32_t>(id));
  }
}

void BpeModel::read_single_bytes() {
  for (size_t i = 0; i < byte_ids_.size(); ++i) {
    const auto byte = static_cast<unsigned char>(i);
    if (byte_level_) {
      byte_ids_[i] = token_id(byte_to_char(byte)).value_or(-1);
    } else {
      byte_ids_[i] =
          byte < 0x80 ? token_id(std::string(1, static_cast<char>(byte))).value_or(-1) : -1;
    }
  }
  if (!byte_level_ || !ignore_merges_) return;
  for (const auto& [token, id] : ids_) {
    if (auto bytes = chars_to_bytes(token)) whole_words_.emplace(std::move(*bytes), id);
  }
}

void BpeModel::read_merges(const JsonObject& model) {
  const Json& merges = model.raw("merges");
  LG_CHECK(merges.is_array(), model.where("merges"), ": expected a list, found ",
           merges.type_name(), ".");
  LG_CHECK(merges.size() < PairTable::kNone / 4, model.where("merges"),
           ": expected fewer merges, found ", merges.size(), ".");
  merges_.reserve(merges.size());
  splits_at_metaspace_ = !byte_level_ && !ignore_merges_ && ids_.contains(std::string(kMetaspace));
  uint32_t rank = 0;
  for (const Json& merge : merges) {
    const std::string where = model.where("merges") + "[" + std::to_string(rank) + "]";
    const auto [left, right] = sides_of(merge, where);
    // Files made from merges.txt may keep its first line, which PyPI tokenizers skips.
    if (!(merge.is_string() && left == "#version:")) add_merge(left, right, rank, where);
    ++rank;
  }
}

void BpeModel::add_merge(std::string_view left, std::string_view right, uint32_t rank,
                         const std::string& where) {
  const std::string whole = std::string(left) + std::string(right);
  const int32_t left_id = require_id(left, where);
  const int32_t right_id = require_id(right, where);
  merges_.insert(left_id, right_id, {rank, require_id(whole, where)});
  for (size_t at = whole.find(kMetaspace, 1); at != std::string::npos;
       at = whole.find(kMetaspace, at + 1)) {
    const bool after_another = std::string_view(whole).substr(0, at).ends_with(kMetaspace);
    splits_at_metaspace_ = splits_at_metaspace_ && after_another;
  }
}

int32_t BpeModel::require_id(std::string_view token, const std::string& where) const {
  const auto id = token_id(token);
  LG_CHECK(id.has_value(), where, ": expected tokens of the vocabulary, found \"",
           token.substr(0, 60), "\", which it lacks.");
  return *id;
}

std::optional<int32_t> BpeModel::token_id(std::string_view token) const {
  const auto it = ids_.find(token);
  return it == ids_.end() ? std::nullopt : std::optional<int32_t>(it->second);
}

const std::string* BpeModel::token(int32_t id) const {
  const std::string& found = tokens_[static_cast<size_t>(id)];
  return found.empty() ? nullptr : &found;
}

std::string BpeModel::surface(int32_t id) const {
  const std::string& token = tokens_[static_cast<size_t>(id)];
  return byte_level_ ? chars_to_bytes(token).value_or(token) : token;
}

std::optional<uint8_t> BpeModel::fallback_byte(int32_t id) const {
  const std::string& token = tokens_[static_cast<size_t>(id)];
  if (!byte_fallback_ || !token.starts_with("<0x")) return std::nullopt;
  for (int byte = 0; byte < 256; ++byte) {
    if (token == fallback_token(static_cast<unsigned char>(byte)))
      return static_cast<uint8_t>(byte);
  }
  return std::nullopt;
}

void BpeModel::add_char(std::string_view character, Symbols& symbols) const {
  if (const auto id = token_id(character)) {
    if (symbols.unknown_waits) symbols.ids.push_back(*unk_id_);
    symbols.unknown_waits = false;
    symbols.ids.push_back(*id);
    return;
  }
  if (byte_fallback_) {
    const size_t before = symbols.ids.size();
    for (const char c : character) {
      if (const auto id = token_id(fallback_token(static_cast<unsigned char>(c))))
        symbols.ids.push_back(*id);
    }
    if (symbols.ids.size() == before + character.size()) return;
    symbols.ids.resize(before);
  }
  if (unk_token_.empty()) return;  // as PyPI tokenizers: without an unk_token it is left out
  LG_CHECK(unk_id_.has_value(),
           "[tokenizer] the text has a character that the vocabulary lacks, and so is its "
           "unk_token \"",
           unk_token_.substr(0, 60), "\".");
  if (symbols.unknown_waits && !fuse_unk_) symbols.ids.push_back(*unk_id_);
  symbols.unknown_waits = true;
}

void BpeModel::add_symbols(std::string_view word, std::vector<int32_t>& ids) const {
  Symbols symbols{ids};
  for (size_t i = 0; i < word.size();) {
    const auto byte = static_cast<unsigned char>(word[i]);
    const bool single = byte_level_ || byte < 0x80;
    if (single && byte_ids_[byte] >= 0 && !symbols.unknown_waits) {
      ids.push_back(byte_ids_[byte]);
      ++i;
      continue;
    }
    const size_t length = single ? 1 : decode_valid_utf8(word.data() + i).length;
    add_char(byte_level_ ? std::string_view(byte_to_char(byte)) : word.substr(i, length), symbols);
    i += length;
  }
  if (symbols.unknown_waits) ids.push_back(*unk_id_);
}

void BpeModel::encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    const TextMap& words = byte_level_ ? whole_words_ : ids_;
    if (const auto it = words.find(word); it != words.end()) return ids.push_back(it->second);
  }
  const size_t before = ids.size();
  add_symbols(word, ids);
  const std::span<int32_t> symbols(ids.data() + before, ids.size() - before);
  ids.resize(before + merge_symbols(symbols, merges_));
}

}  // namespace longgen
