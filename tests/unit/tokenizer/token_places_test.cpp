#include "longgen/tokenizer/token_places.h"

#include <gtest/gtest.h>

#include "test_tokenizers.h"

namespace longgen {
namespace {

using Texts = std::vector<std::string>;

/// Returns the bytes that each token stands for.
Texts texts_at_places(const Tokenizer& tokenizer, const std::string& text,
                      const EncodeOptions& options = {}) {
  std::vector<ByteRange> places;
  const std::vector<int32_t> ids = tokenizer.encode(text, options, places);
  EXPECT_EQ(ids, tokenizer.encode(text, options)) << text;
  EXPECT_EQ(places.size(), ids.size());
  Texts texts;
  size_t begin = 0, end = 0;
  for (const ByteRange& place : places) {
    EXPECT_TRUE(begin <= place.begin && end <= place.end && place.end <= text.size()) << text;
    begin = place.begin;
    end = place.end;
    texts.push_back(text.substr(begin, end - begin));
  }
  return texts;
}

std::string joined(const Texts& texts) {
  std::string all;
  for (const std::string& text : texts) all += text;
  return all;
}

TEST(TokenPlacesTest, OfBytesAndSpecialTokens) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  EXPECT_EQ(texts_at_places(tokenizer, "hello a<|end|>abc"),
            (Texts{"hello", " a", "<|end|>", "abc"}));
  EXPECT_EQ(texts_at_places(tokenizer, "<|end|>", {.parse_special = false}).size(), 7u);
  EXPECT_EQ(texts_at_places(tokenizer, "aé"), (Texts{"a", "\xC3", "\xA9"}));
  EXPECT_EQ(texts_at_places(tokenizer, ""), Texts{});
}

TEST(TokenPlacesTest, WhatIsPutInHasNoBytes) {
  Json json = byte_level_json();
  json["pre_tokenizer"]["add_prefix_space"] = true;
  const Tokenizer tokenizer = make_tokenizer(json);
  EXPECT_EQ(texts_at_places(tokenizer, "ac"), (Texts{"a", "c"})) << "the first is \" a\"";
  EXPECT_EQ(texts_at_places(tokenizer, "x"), (Texts{"", "x"}));
  EXPECT_EQ(texts_at_places(tokenizer, " x"), (Texts{" ", "x"}));
  json["post_processor"] = parse_json(
      R"({"type": "TemplateProcessing",
          "single": [{"SpecialToken": {"id": "<|end|>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
          "pair": [], "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": [300], "tokens": ["<|end|>"]}}})",
      "post_processor");
  EXPECT_EQ(texts_at_places(make_tokenizer(json), "ac", {.add_special_tokens = true}),
            (Texts{"", "a", "c"}));
}

TEST(TokenPlacesTest, OfSentencePieceAndFallbackBytes) {
  const Tokenizer tokenizer = make_tokenizer(sentencepiece_json());
  EXPECT_EQ(texts_at_places(tokenizer, "abc ab"), (Texts{"abc", " ab"}));
  EXPECT_EQ(texts_at_places(tokenizer, "\nab"), (Texts{"", "\n", "ab"})) << "the first is ▁";
  EXPECT_EQ(texts_at_places(tokenizer, "é"), (Texts{"", "\xC3", "\xA9"}));
  EXPECT_EQ(texts_at_places(tokenizer, "ab</s>ab"), (Texts{"ab", "</s>", "ab"}));
}

TEST(TokenPlacesTest, OfMetaspaceAndRemovedWhiteSpace) {
  Json json = sentencepiece_json();
  json.erase("normalizer");
  json["pre_tokenizer"] = {
      {"type", "Metaspace"}, {"replacement", "▁"}, {"prepend_scheme", "always"}};
  EXPECT_EQ(texts_at_places(make_tokenizer(json), "abc ab  ab"), (Texts{"abc", " ab", " ", " ab"}));
  json["pre_tokenizer"] = parse_json(
      R"({"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"},
          {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always"}]})",
      "pre_tokenizer");
  EXPECT_EQ(texts_at_places(make_tokenizer(json), "abc \t ab\n"), (Texts{"abc", " \t ab"}));
}

TEST(TokenPlacesTest, NormalizedTextIsFollowedBack) {
  Json json = byte_level_json();
  json["normalizer"] = {{"type", "NFC"}};
  const std::string decomposed = "xe\xCC\x81y";  // e and an accent become one character
  EXPECT_EQ(texts_at_places(make_tokenizer(json), decomposed),
            (Texts{"x", "e\xCC\x81", "e\xCC\x81", "y"}));
  json["normalizer"] = parse_json(
      R"({"type": "Sequence", "normalizers": [
          {"type": "Replace", "pattern": {"String": "--"}, "content": ""},
          {"type": "Replace", "pattern": {"String": "z"}, "content": "abc"}]})",
      "normalizer");
  EXPECT_EQ(texts_at_places(make_tokenizer(json), "h--zx--"), (Texts{"h", "z", "x"}));
}

TEST(TokenPlacesTest, TheBytesOfAllTokensAreTheText) {
  Json with_nfc = byte_level_json();
  with_nfc["normalizer"] = {{"type", "NFC"}};
  const Tokenizer plain = make_tokenizer(byte_level_json()), nfc = make_tokenizer(with_nfc),
                  sentences = make_tokenizer(sentencepiece_json());
  std::mt19937 random(3);
  for (int i = 0; i < 300; ++i) {
    const std::string text = random_text(random, 60);
    EXPECT_EQ(joined(texts_at_places(plain, text)), text);
    EXPECT_EQ(joined(texts_at_places(sentences, text)), text);
    texts_at_places(nfc, text);
  }
}

TEST(TokenPlacesTest, SpecialTokensInRangesHavePlaces) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  const std::string text = "<|end|><|end|>";
  std::vector<ByteRange> places;
  const std::vector<ByteRange> written = {{7, 14}};
  EXPECT_EQ(tokenizer.encode(text, written, &places), tokenizer.encode(text, written));
  ASSERT_EQ(places.size(), 8u);
  EXPECT_EQ(places[7], (ByteRange{7, 14}));
}

TEST(TokenPlacesTest, AnUnknownTokenIsRefused) {
  Json json = sentencepiece_json();
  json["model"]["byte_fallback"] = false;
  const Tokenizer tokenizer = make_tokenizer(json);
  std::vector<ByteRange> places;
  EXPECT_TRUE(contains(error_of([&] { tokenizer.encode("abé", {}, places); }),
                       "no place in the text can be told of token 0 at \"é\""));
  EXPECT_TRUE(contains(error_of([&] { tokenizer.encode("\xFF", {}, places); }), "in UTF-8"));
}

}  // namespace
}  // namespace longgen
