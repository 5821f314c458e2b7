#include "longgen/tokenizer/tokenizer_config.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/tokenizer/component.h"
#include "longgen/tokenizer/special_tokens.h"

namespace longgen {
namespace {

constexpr int64_t kMaxFileBytes = 64 << 20;
constexpr int64_t kMaxId = INT32_MAX - 1;

struct ConfigFile {
  std::string source;
  Json json = Json::object();
  std::vector<std::string> keys;  // of the object itself, in the order of the file

  JsonObject root() const { return {json, source}; }
};

ConfigFile read_config_file(const fs::path& path) {
  ConfigFile file;
  file.source = path.string();
  if (!fs::exists(path)) return file;
  const std::string text = read_file(path, kMaxFileBytes);
  file.json = parse_json(text, file.source);
  file.root();  // an object, or an error
  // Json sorts its keys, and ids are given in the order of the file.
  file.json = Json::parse(text, [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth == 1 && event == Json::parse_event_t::key) file.keys.push_back(parsed);
    return true;
  });
  return file;
}

AddedToken token_of(const JsonObject& object) {
  check_keys(object,
             {"__type", "content", "special", "single_word", "lstrip", "rstrip", "normalized"});
  AddedToken token = read_added_token(object);
  token.id = -1;
  return token;
}

/// A token given by its text alone is special.
AddedToken special_token(const std::string& content, const std::string& where) {
  const Json text = {{"content", content}, {"special", true}};
  AddedToken token = read_added_token(JsonObject(text, where));
  token.id = -1;
  token.where = where;
  return token;
}

/// What the files say, before it is put in order.
class ConfigReader {
 public:
  explicit ConfigReader(const fs::path& directory)
      : config_(read_config_file(directory / "tokenizer_config.json")),
        legacy_(!config_.root().has("added_tokens_decoder")),
        map_(legacy_ ? read_config_file(directory / "special_tokens_map.json") : ConfigFile()) {}

  std::vector<ConfiguredToken> read(const fs::path& directory) {
    for (const char* name : kSpecialTokenNames) add_named(name);
    for (const ConfigFile* file : {&config_, &map_}) {
      for (const std::string& key : file->keys) add_other_named(file->root(), key);
    }
    for (const char* key : {"model_specific_special_tokens", "extra_special_tokens"}) {
      add_named_by(key);
    }
    for (const ConfiguredToken& token : named_) names_.insert(token.token.content);
    add_lists();
    std::vector<ConfiguredToken> all =
        legacy_ ? read_added_tokens(read_config_file(directory / "added_tokens.json"))
                : read_decoder(config_.root());
    all.insert(all.end(), named_.begin(), named_.end());
    all.insert(all.end(), listed_.begin(), listed_.end());
    return all;
  }

  const ConfigFile& config() const { return config_; }

 private:
  void add_named_token(const JsonObject& parent, const std::string& key) {
    const Json& value = parent.raw(key);
    if (value == "") return;  // no token, as old configs write it
    ConfiguredToken named;
    named.token = value.is_object() ? token_of(parent.object(key))
                                    : special_token(parent.string(key), parent.where(key));
    named.token.special = true;
    named.is_named = true;
    named_.push_back(std::move(named));
  }

  void add_named(const std::string& key) {
    if (map_.root().has(key)) return add_named_token(map_.root(), key);
    if (config_.root().has(key)) add_named_token(config_.root(), key);
  }

  /// Adds image_token and the like. A field whose value is no token is a setting (add_bos_token).
  void add_other_named(const JsonObject& root, const std::string& key) {
    if (!key.ends_with("_token") || std::ranges::count(kSpecialTokenNames, key) > 0) return;
    if (root.raw(key).is_string() || root.raw(key).is_object()) add_named_token(root, key);
  }

  /// Reads {"image_token": "<image>", ...}.
  void add_named_by(const std::string& key) {
    for (const ConfigFile* file : {&config_, &map_}) {
      if (!file->root().has(key) || !file->root().raw(key).is_object()) continue;
      const JsonObject names = file->root().object(key);
      for (const auto& item : names.value().items()) add_named_token(names, item.key());
    }
  }

  void add_list(const JsonObject& root, const std::string& key) {
    if (!root.has(key) || root.raw(key).is_object()) return;
    const Json& list = root.raw(key);
    LG_CHECK(list.is_array(), root.where(key), ": expected a list of tokens, found ",
             list.type_name(), ".");
    for (size_t i = 0; i < list.size(); ++i) {
      const std::string path = key + "[" + std::to_string(i) + "]";
      LG_CHECK(list[i].is_string() || list[i].is_object(), root.where(path),
               ": expected a token, found ", list[i].type_name(), ".");
      if (list[i] == "") continue;
      ConfiguredToken listed;
      listed.token = list[i].is_string()
                         ? special_token(list[i].get<std::string>(), root.where(path))
                         : token_of(JsonObject(list[i], root.source(), path));
      listed_.push_back(std::move(listed));
    }
  }

  void add_lists() {
    add_list(config_.root(), "extra_special_tokens");
    if (listed_.empty()) add_list(config_.root(), "additional_special_tokens");
    add_list(map_.root(), "extra_special_tokens");
    if (listed_.empty()) add_list(map_.root(), "additional_special_tokens");
  }

  /// Reads {"267": {"content": "<pad>", ...}, ...}.
  std::vector<ConfiguredToken> read_decoder(const JsonObject& root) const {
    const JsonObject decoder = root.object("added_tokens_decoder");
    std::map<int64_t, ConfiguredToken> by_id;
    for (const auto& item : decoder.value().items()) {
      const std::string& key = item.key();
      int64_t id = -1;
      const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
      const bool good = error == std::errc() && end == key.data() + key.size();
      LG_CHECK(good && id >= 0 && id <= kMaxId, decoder.where(key), ": expected an id from 0 to ",
               kMaxId, " as the key.");
      ConfiguredToken token{token_of(decoder.object(key)), true, false};
      token.token.id = static_cast<int32_t>(id);
      token.is_named = names_.contains(token.token.content);
      LG_CHECK(by_id.emplace(id, std::move(token)).second, decoder.where(key), ": id ", id,
               " stands twice.");
    }
    return in_order(by_id);
  }

  /// Reads {"<pad>": 267, ...}. Special are those that other files name.
  std::vector<ConfiguredToken> read_added_tokens(const ConfigFile& file) const {
    std::unordered_set<std::string> special = names_;
    for (const ConfiguredToken& token : listed_) special.insert(token.token.content);
    const JsonObject root = file.root();
    std::map<int64_t, ConfiguredToken> by_id;
    for (const std::string& content : file.keys) {
      const int64_t id = root.integer(content, 0, kMaxId);
      ConfiguredToken token{special_token(content, root.where(content)), false, false};
      token.token.id = static_cast<int32_t>(id);
      token.token.special = special.contains(content);
      token.token.normalized = !token.token.special;
      LG_CHECK(by_id.emplace(id, std::move(token)).second, root.where(content), ": id ", id,
               " stands twice.");
    }
    return in_order(by_id);
  }

  static std::vector<ConfiguredToken> in_order(const std::map<int64_t, ConfiguredToken>& by_id) {
    std::vector<ConfiguredToken> tokens;
    for (const auto& [id, token] : by_id) tokens.push_back(token);
    return tokens;
  }

  ConfigFile config_;
  bool legacy_;  // no added_tokens_decoder: older files count
  ConfigFile map_;
  std::vector<ConfiguredToken> named_, listed_;
  std::unordered_set<std::string> names_;
};

void refuse_settings(const JsonObject& config) {
  const std::pair<const char*, const char*> refused[] = {
      {"do_lower_case", "longgen keeps capital letters"},
      {"split_special_tokens",
       "in longgen each command says whether special tokens are recognised"},
      {"fix_mistral_regex",
       "longgen splits words as tokenizer.json says; save the tokenizer with "
       "the right pattern in it"},
      {"clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output",
       "longgen gives back the text of the tokens as it is"}};
  for (const auto& [key, reason] : refused) {
    LG_CHECK(!config.boolean(key, false), config.where(key), ": expected false: ", reason, ".");
  }
}

std::optional<bool> flag(const JsonObject& config, const char* key) {
  return config.has(key) ? std::optional(config.boolean(key, false)) : std::nullopt;
}

bool same_settings(const AddedToken& a, const AddedToken& b) {
  return a.special == b.special && a.single_word == b.single_word && a.lstrip == b.lstrip &&
         a.rstrip == b.rstrip && a.normalized == b.normalized;
}

/// Replaces what differs. A token that is special in one of the files stays special.
bool replace_settings(const ConfiguredToken& from, AddedToken& to) {
  if (!from.has_settings || same_settings(from.token, to)) return false;
  AddedToken changed = from.token;
  changed.special = to.special || from.token.special || from.is_named;
  if (same_settings(changed, to)) return false;
  to = changed;
  return true;
}

}  // namespace

TokenizerConfig read_tokenizer_config(const fs::path& model_directory) {
  ConfigReader reader(model_directory);
  const JsonObject config = reader.config().root();
  refuse_settings(config);
  return {reader.config().source, reader.read(model_directory), flag(config, "add_bos_token"),
          flag(config, "add_eos_token"), flag(config, "add_prefix_space")};
}

bool add_configured_tokens(const std::vector<ConfiguredToken>& configured, const BpeModel& model,
                           std::vector<AddedToken>& tokens) {
  std::unordered_map<std::string, size_t> known;
  int64_t next_id = model.num_ids();
  for (size_t i = 0; i < tokens.size(); ++i) {
    known.emplace(tokens[i].content, i);
    next_id = std::max<int64_t>(next_id, int64_t{tokens[i].id} + 1);
  }
  bool changed = false;
  for (const ConfiguredToken& one : configured) {
    AddedToken token = one.token;
    const auto [it, is_new] = known.emplace(token.content, tokens.size());
    if (!is_new) {
      AddedToken& there = tokens[it->second];
      LG_CHECK(token.id < 0 || token.id == there.id, token.where, ": \"", token.content,
               "\" has id ", token.id, " here and ", there.id, " at ", there.where, ".");
      token.id = there.id;
      changed = replace_settings({token, one.has_settings, one.is_named}, there) || changed;
      continue;
    }
    if (token.id < 0) {
      const int64_t id = model.token_id(token.content).value_or(static_cast<int32_t>(next_id));
      LG_CHECK(id <= kMaxId, token.where, ": no id is left for \"", token.content, "\".");
      token.id = static_cast<int32_t>(id);
    }
    token.special = token.special || one.is_named;
    next_id = std::max<int64_t>(next_id, int64_t{token.id} + 1);
    tokens.push_back(std::move(token));
    changed = true;
  }
  return changed;
}

}  // namespace longgen
