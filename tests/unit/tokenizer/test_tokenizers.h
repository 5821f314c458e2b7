// test_tokenizers.h: small tokenizers for the tests, as JSON to vary.
#pragma once

#include <random>
#include <string>
#include <vector>

#include "longgen/base/json.h"
#include "longgen/tokenizer/byte_alphabet.h"
#include "longgen/tokenizer/tokenizer.h"
#include "longgen/tokenizer/utf8.h"
#include "tests/unit/error_text.h"

namespace longgen {

/// Makes one in GPT-2's style: all 256 bytes, a few merges, one special token.
inline Json byte_level_json() {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte)
    vocab[byte_to_char(static_cast<unsigned char>(byte))] = byte;
  Json merges = Json::array();
  const auto merge = [&](const std::string& left, const std::string& right) {
    vocab[left + right] = vocab.size();
    merges.push_back(left + " " + right);
  };
  merge("a", "b");
  merge("ab", "c");
  merge("\xC4\xA0", "a");  // "Ġ a"
  merge("l", "l");
  merge("e", "ll");
  merge("h", "ell");
  merge("hell", "o");
  merge("a", "a");
  merge("aa", "aa");
  return {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens",
       {{{"id", 300}, {"content", "<|end|>"}, {"special", true}, {"normalized", false}}}},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", merges}}}};
}

/// Makes one in Llama 2's style: letters a to e, "▁", byte fallback.
inline Json sentencepiece_json() {
  Json vocab = {{"<unk>", 0}, {"<s>", 1}, {"</s>", 2}};
  for (int byte = 0; byte < 256; ++byte) {
    char token[8];
    std::snprintf(token, sizeof(token), "<0x%02X>", byte);
    vocab[token] = vocab.size();
  }
  for (const char* token : {"▁", "a", "b", "c", "d", "e", "ab", "▁ab", "▁abc"})
    vocab[token] = vocab.size();
  const Json merges = parse_json(R"([["a", "b"], ["▁", "ab"], ["▁ab", "c"]])", "merges");
  const auto named = [](int id, const char* text) {
    return Json{{"id", id}, {"content", text}, {"special", true}, {"normalized", false}};
  };
  Json json;
  json["added_tokens"] = Json::array({named(0, "<unk>"), named(1, "<s>"), named(2, "</s>")});
  json["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "Prepend"}, {"prepend", "▁"}},
        {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "▁"}}}}};
  json["decoder"] = {{"type", "Sequence"},
                     {"decoders",
                      {{{"type", "Replace"}, {"pattern", {{"String", "▁"}}}, {"content", " "}},
                       {{"type", "ByteFallback"}},
                       {{"type", "Fuse"}},
                       {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}};
  json["model"] = {{"type", "BPE"},         {"unk_token", "<unk>"}, {"fuse_unk", true},
                   {"byte_fallback", true}, {"vocab", vocab},       {"merges", merges}};
  return json;
}

inline Tokenizer make_tokenizer(const Json& json) {
  return Tokenizer::from_json(dump_json(json), "t.json");
}

/// Mixes characters that the splitting regexes treat differently with any others.
inline std::string random_text(std::mt19937& random, int num_chars) {
  static const std::vector<std::string> common = {" ",
                                                  " ",
                                                  "\n",
                                                  "\r",
                                                  "\t",
                                                  "'",
                                                  "'s",
                                                  "'LL",
                                                  "'ve",
                                                  "'\xC5\xBF",
                                                  "a",
                                                  "Z",
                                                  "7",
                                                  "42",
                                                  "!",
                                                  "<|end|>",
                                                  "é",
                                                  "ß",
                                                  "日",
                                                  "١",
                                                  "½",
                                                  "\xC2\x85",
                                                  "\xC2\xA0",
                                                  "\xE1\xA0\x8E",
                                                  "\xE3\x80\x80",
                                                  "\xE2\x80\xA8",
                                                  "👍",
                                                  "\xCC\x81"};
  std::string text;
  for (int i = 0; i < num_chars; ++i) {
    if (random() % 4 != 0) {
      text += common[random() % common.size()];
      continue;
    }
    const uint32_t tops[] = {0x80, 0x800, 0x3000, 0x10000, 0x110000};
    const uint32_t code_point = random() % tops[random() % 5];
    append_utf8(code_point >= 0xD800 && code_point < 0xE000 ? 0xFFFD : code_point, text);
  }
  return text;
}

}  // namespace longgen
