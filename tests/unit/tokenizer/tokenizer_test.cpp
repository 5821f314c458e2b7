#include "longgen/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {
namespace {

std::vector<std::string> tokens_of(const Tokenizer& tokenizer, const std::string& text,
                                   EncodeOptions options = {}) {
  std::vector<std::string> tokens;
  for (const int32_t id : tokenizer.encode(text, options)) tokens.push_back(tokenizer.token(id));
  return tokens;
}

using Tokens = std::vector<std::string>;

TEST(TokenizerTest, MergesAndSpecialTokens) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  EXPECT_EQ(tokens_of(tokenizer, "hello abc"), (Tokens{"hello", "Ġ", "abc"}));
  EXPECT_EQ(tokens_of(tokenizer, "abc<|end|>"), (Tokens{"abc", "<|end|>"}));
  EXPECT_EQ(tokens_of(tokenizer, "<|end|>", {.parse_special = false}),
            (Tokens{"<", "|", "e", "n", "d", "|", ">"}));
  EXPECT_EQ(tokenizer.vocab_size(), 301);
  EXPECT_EQ(tokenizer.token_id("<|end|>"), 300);
  EXPECT_EQ(tokenizer.token_id("nothing"), std::nullopt);
  EXPECT_TRUE(tokenizer.is_special(300));
  EXPECT_FALSE(tokenizer.is_special(5));
  EXPECT_TRUE(tokenizer.encode("").empty());
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("a<|end|>b"), true), "ab");
  EXPECT_EQ(tokenizer.hash().size(), 16u);
}

TEST(TokenizerTest, AnIdOutsideTheVocabularyIsAnError) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  for (const int32_t id : {-1, 301, INT32_MAX}) {
    const std::string message = error_of([&] { tokenizer.decode(std::vector<int32_t>{id}); });
    EXPECT_EQ(message, "[tokenizer] expected an id of the vocabulary (301 ids), found " +
                           std::to_string(id) + ".");
  }
}

// 265 to 299 have no token: what a padded vocabulary looks like.
TEST(TokenizerTest, AnIdWithoutATokenStandsForNothing) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{'a', 299, 0xC3, 299, 0xA9, 280, 'b'}), "aéb");
  EXPECT_EQ(error_of([&] { tokenizer.token(299); }),
            "[tokenizer] expected an id that a token has (of 301 ids), found 299.");
  Json spaced = byte_level_json();
  spaced["decoder"] = nullptr;  // joins tokens with spaces
  EXPECT_EQ(make_tokenizer(spaced).decode(std::vector<int32_t>{299, 'a', 299, 'b'}), "a b");
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(stream.push('a'), "a");
  EXPECT_EQ(stream.push(299), "");
  EXPECT_EQ(stream.push('b'), "b");
}

TEST(TokenizerTest, TextsAreNeitherCutNorPadded) {
  Json json = byte_level_json();
  json["truncation"] = {
      {"direction", "Right"}, {"max_length", 3}, {"strategy", "LongestFirst"}, {"stride", 0}};
  json["padding"] = {{"strategy", {{"Fixed", 20}}},
                     {"direction", "Right"},
                     {"pad_to_multiple_of", nullptr},
                     {"pad_id", 0},
                     {"pad_type_id", 0},
                     {"pad_token", "<|end|>"}};
  EXPECT_EQ(make_tokenizer(json).encode("qrstu"), (std::vector<int32_t>{'q', 'r', 's', 't', 'u'}));
}

TEST(TokenizerTest, WhatIsEncodedIsDecoded) {
  std::mt19937 random(11);
  for (const Json& json : {byte_level_json(), sentencepiece_json()}) {
    const Tokenizer tokenizer = make_tokenizer(json);
    for (int round = 0; round < 3000; ++round) {
      const std::string text = random_text(random, 1 + static_cast<int>(random() % 40));
      ASSERT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
    }
  }
}

TEST(TokenizerTest, InvalidUtf8CountsAsReplacementCharacters) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  EXPECT_EQ(tokenizer.encode("a\xE2\x82z\xFF"), tokenizer.encode("a\xEF\xBF\xBDz\xEF\xBF\xBD"));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{'a', 0xE2, 0x82, 'z', 0xFF}),
            "a\xEF\xBF\xBDz\xEF\xBF\xBD");
}

TEST(TokenizerTest, StreamsNeverGiveHalfACharacter) {
  std::mt19937 random(5);
  for (const Json& json : {byte_level_json(), sentencepiece_json()}) {
    const Tokenizer tokenizer = make_tokenizer(json);
    for (int round = 0; round < 2000; ++round) {
      std::vector<int32_t> ids = tokenizer.encode(random_text(random, 8));
      // Any ids at all, cut anywhere, must stream to valid text and to what decode gives.
      for (int i = 0; i < 6; ++i)
        ids.insert(ids.begin() + static_cast<ptrdiff_t>(random() % (ids.size() + 1)),
                   static_cast<int32_t>(random() % 256));
      StreamDecoder stream(tokenizer, false);
      std::string joined;
      for (const int32_t id : ids) {
        const std::string part = stream.push(id);
        ASSERT_TRUE(is_valid_utf8(part));
        joined += part;
      }
      joined += stream.finish();
      ASSERT_EQ(joined, tokenizer.decode(ids));
    }
  }
}

TEST(TokenizerTest, BytesOfOneToken) {
  const Tokenizer byte_level = make_tokenizer(byte_level_json());
  EXPECT_EQ(byte_level.token_bytes(0xC3), "\xC3") << "half a character";
  EXPECT_EQ(byte_level.token_bytes(*byte_level.token_id("\xC4\xA0"
                                                        "a")),
            " a");
  EXPECT_EQ(byte_level.token_bytes(300), "<|end|>");
  EXPECT_EQ(byte_level.token_bytes(299), "") << "no token has it";
  const Tokenizer sentencepiece = make_tokenizer(sentencepiece_json());
  EXPECT_EQ(sentencepiece.token_bytes(*sentencepiece.token_id("▁ab")), " ab");
  EXPECT_ERROR((void)sentencepiece.token_bytes(-1), "-1");
}

TEST(TokenizerTest, SentencePieceStyle) {
  const Tokenizer tokenizer = make_tokenizer(sentencepiece_json());
  EXPECT_EQ(tokens_of(tokenizer, "abc de"), (Tokens{"▁abc", "▁", "d", "e"}));
  EXPECT_EQ(tokens_of(tokenizer, "é"), (Tokens{"▁", "<0xC3>", "<0xA9>"}));
  EXPECT_EQ(tokens_of(tokenizer, "a<s>b"), (Tokens{"▁", "a", "<s>", "▁", "b"}));
  StreamDecoder stream(tokenizer);
  EXPECT_EQ(stream.push(*tokenizer.token_id("▁abc")), "abc");
  EXPECT_EQ(stream.push(*tokenizer.token_id("<0xC3>")), "");
  EXPECT_EQ(stream.push(*tokenizer.token_id("</s>")), "") << "special tokens are left out";
  EXPECT_EQ(stream.push(*tokenizer.token_id("<0xA9>")), "é");
  EXPECT_EQ(stream.push(*tokenizer.token_id("▁abc")), " abc");
  EXPECT_EQ(stream.push(*tokenizer.token_id("<0xC3>")), "");
  EXPECT_EQ(stream.finish(), "\xEF\xBF\xBD");
}

TEST(TokenizerTest, TemplatesAddTokensAroundTheText) {
  Json json = byte_level_json();
  const Json special = {{"SpecialToken", {{"id", "E"}, {"type_id", 0}}}};
  const Json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  json["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", Json::array({special, text, special, special})},
      {"pair", Json::array()},
      {"special_tokens", {{"E", {{"id", "E"}, {"ids", {300}}, {"tokens", {"E"}}}}}}};
  const Tokenizer tokenizer = make_tokenizer(json);
  EXPECT_EQ(tokenizer.encode("a", {.add_special_tokens = true}),
            (std::vector<int32_t>{300, 'a', 300, 300}));
  EXPECT_EQ(tokenizer.encode("a"), std::vector<int32_t>{'a'});
}

TEST(TokenizerTest, ThreadsShareOneTokenizer) {
  const Tokenizer tokenizer = make_tokenizer(byte_level_json());
  std::vector<std::string> texts;
  std::mt19937 random(2);
  for (int i = 0; i < 300; ++i) texts.push_back(random_text(random, 200));
  std::vector<std::vector<int32_t>> expected;
  for (const std::string& text : texts) expected.push_back(tokenizer.encode(text));
  std::array<int, 4> wrong{};
  std::vector<std::thread> threads;
  for (int& mine : wrong) {
    threads.emplace_back([&] {
      for (size_t i = 0; i < texts.size(); ++i) {
        if (tokenizer.encode(texts[i]) != expected[i] || tokenizer.decode(expected[i]) != texts[i])
          ++mine;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, (std::array<int, 4>{}));
}

}  // namespace
}  // namespace longgen
