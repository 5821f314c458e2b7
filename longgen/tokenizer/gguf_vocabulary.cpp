#include "longgen/tokenizer/gguf_vocabulary.h"

#include <algorithm>
#include <string_view>
#include <tuple>
#include <unordered_map>

#include "longgen/base/check.h"
#include "longgen/base/json.h"
#include "longgen/base/log.h"
#include "longgen/tokenizer/splitters.h"
#include "longgen/tokenizer/utf8.h"

namespace longgen {
namespace {

// These are values of tokenizer.ggml.token_type.
constexpr int64_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kByte = 6;
constexpr size_t kMaxTokenBytes = 1024;  // rebuilding merges looks at every cut of every token
constexpr const char* kMetaspace = "\xE2\x96\x81";

using Ids = std::unordered_map<std::string_view, size_t>;

/// Checks what every kind of vocabulary has in common and gives the ids by token.
Ids check_tokens(const GgufVocabulary& v) {
  const auto key = [&v](const char* name) { return v.source + ": key tokenizer.ggml." + name; };
  LG_CHECK(!v.tokens.empty(), key("tokens"), ": expected a vocabulary, found none.");
  LG_CHECK(v.token_types.empty() || v.token_types.size() == v.tokens.size(), key("token_type"),
           ": expected ", v.tokens.size(), " types, one for each token, found ",
           v.token_types.size(), ".");
  Ids ids;
  ids.reserve(v.tokens.size());
  for (size_t i = 0; i < v.tokens.size(); ++i) {
    const std::string& token = v.tokens[i];
    const bool good = !token.empty() && token.size() <= kMaxTokenBytes && is_valid_utf8(token);
    LG_CHECK(good, key("tokens"), "[", i, "]: expected 1 to ", kMaxTokenBytes,
             " bytes of UTF-8, found ", token.size(), " bytes: \"",
             replace_invalid_utf8(token.substr(0, 60)), "\".");
    const auto [it, is_new] = ids.emplace(token, i);
    LG_CHECK(is_new, key("tokens"), "[", i, "]: \"", token.substr(0, 60), "\" is token ",
             it->second, " too.");
  }
  const std::pair<const char*, std::optional<int64_t>> named[] = {{"bos_token_id", v.bos_id},
                                                                  {"eos_token_id", v.eos_id},
                                                                  {"unknown_token_id", v.unk_id},
                                                                  {"padding_token_id", v.pad_id}};
  for (const auto& [name, id] : named) {
    LG_CHECK(!id || (*id >= 0 && *id < static_cast<int64_t>(v.tokens.size())), key(name),
             ": expected 0 to ", v.tokens.size() - 1, ", found ", id.value_or(0), ".");
  }
  return ids;
}

int64_t type_of(const GgufVocabulary& v, size_t id) {
  return v.token_types.empty() ? kNormal : v.token_types[id];
}

const std::string& token_of(const GgufVocabulary& v, int64_t id) {
  return v.tokens[static_cast<size_t>(id)];
}

OrderedJson added_tokens(const GgufVocabulary& v) {
  const auto is_named = [&v](size_t id) {
    const auto same = [id](const std::optional<int64_t>& other) {
      return other && static_cast<size_t>(*other) == id;
    };
    return same(v.bos_id) || same(v.eos_id) || same(v.unk_id) || same(v.pad_id);
  };
  OrderedJson list = OrderedJson::array();
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    const int64_t type = type_of(v, id);
    const bool special = type == kControl || type == kUnknown || is_named(id);
    if (!special && type != kUserDefined) continue;
    list.push_back({{"id", id},
                    {"content", v.tokens[id]},
                    {"single_word", false},
                    {"lstrip", false},
                    {"rstrip", false},
                    {"normalized", false},
                    {"special", special}});
  }
  return list;
}

OrderedJson byte_level(bool add_prefix_space, bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

OrderedJson sequence(const char* list_key, OrderedJson items) {
  return {{"type", "Sequence"}, {list_key, std::move(items)}};
}

OrderedJson split_then_bytes(std::string_view pattern, bool add_prefix_space) {
  const OrderedJson split = {{"type", "Split"},
                             {"pattern", {{"Regex", pattern}}},
                             {"behavior", "Isolated"},
                             {"invert", false}};
  return sequence("pretokenizers",
                  OrderedJson::array({split, byte_level(add_prefix_space, false)}));
}

enum class WordSplit { gpt2, digits_gpt2, llama3, qwen2 };

/// Values of tokenizer.ggml.pre, which llama.cpp's converter writes and its loader knows. A name of
/// llama.cpp whose splitter is none of ours is not listed.
struct PreName {
  std::string_view name;
  WordSplit split;
  bool ignore_merges, adds_bos;  // what the loader takes for the name
};
constexpr PreName kPreNames[] = {
    {"gpt-2", WordSplit::gpt2, false, false},
    {"phi-2", WordSplit::gpt2, false, false},
    {"mpt", WordSplit::gpt2, false, false},
    {"olmo", WordSplit::gpt2, false, false},
    {"gigachat", WordSplit::gpt2, false, false},
    {"mellum", WordSplit::gpt2, false, false},
    {"trillion", WordSplit::gpt2, false, false},
    {"smollm", WordSplit::digits_gpt2, false, false},
    {"starcoder", WordSplit::digits_gpt2, false, false},
    {"refact", WordSplit::digits_gpt2, false, false},
    {"command-r", WordSplit::digits_gpt2, false, false},
    {"codeshell", WordSplit::digits_gpt2, false, false},
    {"minerva-7b", WordSplit::digits_gpt2, false, false},
    {"llama-bpe", WordSplit::llama3, true, true},
    {"llama3", WordSplit::llama3, true, true},
    {"llama-v3", WordSplit::llama3, true, true},
    {"falcon3", WordSplit::llama3, true, true},
    {"pixtral", WordSplit::llama3, true, true},
    {"midm-2.0", WordSplit::llama3, true, true},
    {"dbrx", WordSplit::llama3, false, false},
    {"smaug-bpe", WordSplit::llama3, false, false},
    {"qwen2", WordSplit::qwen2, false, false},
    {"deepseek-r1-qwen", WordSplit::qwen2, false, false},
    {"kormo", WordSplit::qwen2, false, false},
    {"megrez", WordSplit::qwen2, false, false},
    {"stablelm2", WordSplit::qwen2, false, false},
};

std::string pre_names() {
  std::string names;
  for (const PreName& known : kPreNames) {
    names += (names.empty() ? "" : ", ") + std::string(known.name);
  }
  return names;
}

/// Finds what tokenizer.ggml.pre names. Files of before May 2024 have no name, and some converters
/// write "default": then it is GPT-2's splitter, with a warning.
const PreName& find_pre(const GgufVocabulary& v, const Ids& ids) {
  const auto* known = std::ranges::find(kPreNames, std::string_view(v.pre), &PreName::name);
  if (known != std::end(kPreNames)) return *known;
  const std::string key = v.source + ": key tokenizer.ggml.pre";
  LG_CHECK(v.pre.empty() || v.pre == "default", key,
           ": expected a way to split words that longgen has (", pre_names(), "), found \"",
           v.pre.substr(0, 60),
           "\". If one of them splits alike, name it: import --pre-tokenizer NAME.");
  std::string advice =
      ". Name the right way: import --pre-tokenizer llama-bpe, qwen2, smollm or gpt-2.";
  if (ids.contains("<|begin_of_text|>")) {
    advice = "; this one looks like Llama 3: import it with --pre-tokenizer llama-bpe.";
  } else if (ids.contains("<|im_start|>")) {
    advice =
        "; this one looks like Qwen 2 or SmolLM2: import it with --pre-tokenizer qwen2 or smollm.";
  }
  log_warning(key + (v.pre.empty() ? " is missing" : " is \"default\"") +
              ", so words are split as in GPT-2, which is wrong for most models" + advice);
  return kPreNames[0];
}

struct PreKind {
  OrderedJson normalizer = nullptr;
  OrderedJson pre_tokenizer;
};

PreKind pre_kind(WordSplit split, bool prefix) {
  PreKind kind;
  if (split == WordSplit::digits_gpt2) {
    const OrderedJson digits = {{"type", "Digits"}, {"individual_digits", true}};
    kind.pre_tokenizer =
        sequence("pretokenizers", OrderedJson::array({digits, byte_level(prefix, true)}));
  } else if (split == WordSplit::llama3) {
    kind.pre_tokenizer = split_then_bytes(kLlama3Pattern, prefix);
  } else if (split == WordSplit::qwen2) {
    kind.normalizer = {{"type", "NFC"}};
    kind.pre_tokenizer = split_then_bytes(kQwen2Pattern, prefix);
  } else {
    kind.pre_tokenizer = byte_level(prefix, true);
  }
  return kind;
}

OrderedJson template_item(const char* kind, const std::string& id, int type_id) {
  return {{kind, {{"id", id}, {"type_id", type_id}}}};
}

/// Makes the post-processor that puts BOS and EOS around a text; null without them.
OrderedJson post_processor(const GgufVocabulary& v, bool add_bos, bool add_eos) {
  if (!add_bos && !add_eos) return nullptr;
  OrderedJson single = OrderedJson::array(), pair = OrderedJson::array(),
              specials = OrderedJson::object();
  const auto add = [&](std::optional<int64_t> id, const char* name, int type_id, bool to_single) {
    LG_CHECK(id.has_value(), v.source, ": key tokenizer.ggml.", name,
             ": is missing, and the file adds this token.");
    const std::string& token = token_of(v, *id);
    if (to_single) single.push_back(template_item("SpecialToken", token, type_id));
    pair.push_back(template_item("SpecialToken", token, type_id));
    specials[token] = {{"id", token}, {"ids", {*id}}, {"tokens", {token}}};
  };
  for (int text = 0; text < 2; ++text) {
    if (add_bos) add(v.bos_id, "bos_token_id", text, text == 0);
    const OrderedJson item = template_item("Sequence", text == 0 ? "A" : "B", text);
    if (text == 0) single.push_back(item);
    pair.push_back(item);
    if (add_eos) add(v.eos_id, "eos_token_id", text, text == 0);
  }
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", specials}};
}

OrderedJson vocab_json(const GgufVocabulary& v) {
  OrderedJson vocab = OrderedJson::object();
  auto& items = vocab.get_ref<OrderedJson::object_t&>();
  items.reserve(v.tokens.size());
  // Tokens are appended, because inserting by key searches an ordered object from its front;
  // check_tokens saw that all differ.
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    static_cast<std::vector<std::pair<const std::string, OrderedJson>>&>(items).emplace_back(
        v.tokens[id], id);
  }
  return vocab;
}

/// Joins two pieces to a piece in every way: by score, best first, then by the longer left side.
OrderedJson rebuild_merges(const GgufVocabulary& v, const Ids& ids) {
  LG_CHECK(v.scores.size() == v.tokens.size(), v.source, ": key tokenizer.ggml.scores: expected ",
           v.tokens.size(), " scores, one for each token, found ", v.scores.size(), ".");
  struct Cut {
    float score;
    size_t left_chars, right_chars;
    std::string_view left, right;
  };
  const auto normal = [&](std::string_view piece) {
    const auto it = ids.find(piece);
    return it != ids.end() && type_of(v, it->second) == kNormal;
  };
  std::vector<Cut> cuts;
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    LG_CHECK(v.scores[id] == v.scores[id], v.source, ": key tokenizer.ggml.scores[", id,
             "]: expected a number, found NaN.");
    if (type_of(v, id) != kNormal) continue;
    const std::string_view token = v.tokens[id];
    const size_t num_chars = count_utf8(token);
    size_t left_chars = 0;
    for (size_t at = 0; at < token.size(); ++left_chars) {
      if (at > 0 && normal(token.substr(0, at)) && normal(token.substr(at))) {
        cuts.push_back({v.scores[id], left_chars, num_chars - left_chars, token.substr(0, at),
                        token.substr(at)});
      }
      at += decode_valid_utf8(token.data() + at).length;
    }
  }
  std::stable_sort(cuts.begin(), cuts.end(), [](const Cut& a, const Cut& b) {
    return std::tie(a.score, a.left_chars, a.right_chars) >
           std::tie(b.score, b.left_chars, b.right_chars);
  });
  OrderedJson merges = OrderedJson::array();
  for (const Cut& cut : cuts) merges.push_back({cut.left, cut.right});
  return merges;
}

OrderedJson text_or_null(const GgufVocabulary& v, std::optional<int64_t> id) {
  return id ? OrderedJson(token_of(v, *id)) : OrderedJson(nullptr);
}

OrderedJson byte_level_tokenizer(const GgufVocabulary& v, const Ids& ids, bool& add_bos) {
  const PreName& pre = find_pre(v, ids);
  const PreKind kind = pre_kind(pre.split, v.add_space_prefix.value_or(false));
  add_bos = v.add_bos.value_or(pre.adds_bos);
  OrderedJson merges = OrderedJson::array();
  for (const std::string& merge : v.merges) merges.push_back(merge);
  const OrderedJson model = {{"type", "BPE"},
                             {"dropout", nullptr},
                             {"unk_token", nullptr},
                             {"continuing_subword_prefix", nullptr},
                             {"end_of_word_suffix", nullptr},
                             {"fuse_unk", false},
                             {"byte_fallback", false},
                             {"ignore_merges", pre.ignore_merges},
                             {"vocab", vocab_json(v)},
                             {"merges", std::move(merges)}};
  return {{"normalizer", kind.normalizer},
          {"pre_tokenizer", kind.pre_tokenizer},
          {"decoder", byte_level(false, true)},
          {"model", model}};
}

OrderedJson sentencepiece_tokenizer(const GgufVocabulary& v, const Ids& ids, bool& add_bos) {
  add_bos = v.add_bos.value_or(true);
  const bool prefix = v.add_space_prefix.value_or(true);
  OrderedJson normalizers = OrderedJson::array();
  if (prefix) normalizers.push_back({{"type", "Prepend"}, {"prepend", kMetaspace}});
  normalizers.push_back(
      {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", kMetaspace}});
  OrderedJson decoders = OrderedJson::array();
  decoders.push_back(
      {{"type", "Replace"}, {"pattern", {{"String", kMetaspace}}}, {"content", " "}});
  decoders.push_back({{"type", "ByteFallback"}});
  decoders.push_back({{"type", "Fuse"}});
  if (prefix) decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  OrderedJson merges = OrderedJson::array();
  for (const std::string& merge : v.merges) merges.push_back(merge);
  if (merges.empty()) merges = rebuild_merges(v, ids);
  const bool has_bytes =
      std::find(v.token_types.begin(), v.token_types.end(), kByte) != v.token_types.end();
  const OrderedJson model = {{"type", "BPE"},
                             {"dropout", nullptr},
                             {"unk_token", text_or_null(v, v.unk_id)},
                             {"continuing_subword_prefix", nullptr},
                             {"end_of_word_suffix", nullptr},
                             {"fuse_unk", true},
                             {"byte_fallback", has_bytes},
                             {"ignore_merges", false},
                             {"vocab", vocab_json(v)},
                             {"merges", std::move(merges)}};
  return {{"normalizer", sequence("normalizers", std::move(normalizers))},
          {"pre_tokenizer", nullptr},
          {"decoder", sequence("decoders", std::move(decoders))},
          {"model", model}};
}

std::string config_json(const GgufVocabulary& v, bool add_bos, bool add_eos) {
  OrderedJson config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                        {"add_bos_token", add_bos},
                        {"add_eos_token", add_eos},
                        {"clean_up_tokenization_spaces", false}};
  const std::pair<const char*, std::optional<int64_t>> named[] = {{"bos_token", v.bos_id},
                                                                  {"eos_token", v.eos_id},
                                                                  {"unk_token", v.unk_id},
                                                                  {"pad_token", v.pad_id}};
  for (const auto& [name, id] : named) {
    if (id) config[name] = token_of(v, *id);
  }
  if (v.chat_template) config["chat_template"] = *v.chat_template;
  return dump_json(config, 2) + "\n";
}

}  // namespace

TokenizerFiles make_tokenizer_files(const GgufVocabulary& vocabulary) {
  const Ids ids = check_tokens(vocabulary);
  const bool byte_level_model = vocabulary.model == "gpt2";
  LG_CHECK(byte_level_model || vocabulary.model == "llama", vocabulary.source,
           ": key tokenizer.ggml.model: expected gpt2 or llama, found \"",
           vocabulary.model.substr(0, 60), "\".");
  bool add_bos = false;
  const OrderedJson parts = byte_level_model ? byte_level_tokenizer(vocabulary, ids, add_bos)
                                             : sentencepiece_tokenizer(vocabulary, ids, add_bos);
  const bool add_eos = vocabulary.add_eos.value_or(false);
  const OrderedJson file = {{"version", "1.0"},
                            {"truncation", nullptr},
                            {"padding", nullptr},
                            {"added_tokens", added_tokens(vocabulary)},
                            {"normalizer", parts["normalizer"]},
                            {"pre_tokenizer", parts["pre_tokenizer"]},
                            {"post_processor", post_processor(vocabulary, add_bos, add_eos)},
                            {"decoder", parts["decoder"]},
                            {"model", parts["model"]}};
  return {dump_json(file), config_json(vocabulary, add_bos, add_eos)};
}

}  // namespace longgen
