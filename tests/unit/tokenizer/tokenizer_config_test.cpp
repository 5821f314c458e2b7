#include "longgen/tokenizer/tokenizer_config.h"

#include "tests/unit/folder_test.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {
namespace {

/// A model directory with byte_level_json(), whose largest id is 300 (<|end|>).
class TokenizerConfigTest : public FolderTest {
 protected:
  void SetUp() override {
    FolderTest::SetUp();
    put("tokenizer.json", byte_level_json());
  }

  void put(const std::string& name, const Json& json) { write_file(dir_ / name, dump_json(json)); }
  Tokenizer load(const Json& config) {
    put("tokenizer_config.json", config);
    return Tokenizer::load(dir_);
  }
  std::string load_error(const Json& config) {
    return error_of([&] { load(config); });
  }
  std::string place(const std::string& field, const std::string& file = "tokenizer_config.json") {
    return (dir_ / file).string() + ": field " + field;
  }
};

using Ids = std::vector<int32_t>;

TEST_F(TokenizerConfigTest, TokensOfAddedTokensDecoderAreAdded) {
  const Tokenizer tokenizer =
      load({{"added_tokens_decoder",
             {{"300", {{"content", "<|end|>"}, {"special", true}, {"normalized", false}}},
              {"301", {{"content", "<think>"}, {"special", false}, {"normalized", false}}},
              {"302", {{"content", "<|x|>"}, {"special", true}, {"lstrip", true}}}}}});
  EXPECT_EQ(tokenizer.vocab_size(), 303);
  EXPECT_EQ(tokenizer.encode("a<think>b  <|x|>"), (Ids{'a', 301, 'b', 302}));
  EXPECT_EQ(tokenizer.encode("<think><|", {.parse_special = false}), (Ids{301, '<', '|'}));
  EXPECT_EQ(tokenizer.decode(Ids{'a', 301, 302}, true), "a<think>");
  EXPECT_TRUE(tokenizer.is_special(302));
}

TEST_F(TokenizerConfigTest, NamedAndListedTokensGetTheNextIds) {
  const Tokenizer tokenizer =
      load({{"bos_token", "<|end|>"},
            {"pad_token", "<pad>"},
            {"unk_token", {{"content", "q"}, {"__type", "AddedToken"}}},
            {"vision_token", "<v>"},
            {"audio_token", "<a>"},
            {"add_bos_token", false},
            {"additional_special_tokens",
             {"<one>", {{"content", "<two>"}, {"__type", "AddedToken"}, {"rstrip", true}}}}});
  EXPECT_EQ(tokenizer.token_id("q"), 'q') << "of the vocabulary, and special now";
  EXPECT_TRUE(tokenizer.is_special('q'));
  EXPECT_EQ(tokenizer.token_id("<pad>"), 301);
  EXPECT_EQ(tokenizer.encode("<one><two>  <one>"), (Ids{304, 305, 304}));
  EXPECT_FALSE(tokenizer.is_special(305)) << "its settings do not say so";
  EXPECT_EQ(tokenizer.vocab_size(), 306);
}

TEST_F(TokenizerConfigTest, EmptyNamesAreNoTokens) {
  const Tokenizer tokenizer =
      load({{"bos_token", ""}, {"unk_token", nullptr}, {"additional_special_tokens", {"", "<a>"}}});
  EXPECT_EQ(tokenizer.token_id("<a>"), 301);
  EXPECT_EQ(tokenizer.vocab_size(), 302);
}

TEST_F(TokenizerConfigTest, NamesKeepTheOrderOfTheFile) {
  write_file(dir_ / "tokenizer_config.json", R"({"z_token": "<z>", "a_token": "<a>"})");
  const Tokenizer tokenizer = Tokenizer::load(dir_);
  EXPECT_EQ(tokenizer.token_id("<z>"), 301);
  EXPECT_EQ(tokenizer.token_id("<a>"), 302);
}

TEST_F(TokenizerConfigTest, OlderFilesCountWithoutAddedTokensDecoder) {
  put("added_tokens.json", {{"<b>", 301}, {"<a>", 302}});
  put("special_tokens_map.json",
      {{"pad_token", "<a>"}, {"additional_special_tokens", {"<c>"}}, {"eos_token", "<|end|>"}});
  const Tokenizer tokenizer = load({{"pad_token", "<never>"}});
  EXPECT_EQ(tokenizer.encode("<a><b><c>"), (Ids{302, 301, 303}));
  EXPECT_TRUE(tokenizer.is_special(302));
  EXPECT_FALSE(tokenizer.is_special(301));
  EXPECT_EQ(tokenizer.token_id("<never>"), std::nullopt);
  const Tokenizer newer = load({{"added_tokens_decoder", Json::object()}});
  EXPECT_EQ(newer.vocab_size(), 301);
}

TEST_F(TokenizerConfigTest, SettingsOfTheConfigReplaceThoseOfTokenizerJson) {
  const Tokenizer tokenizer =
      load({{"added_tokens_decoder",
             {{"300", {{"content", "<|end|>"}, {"special", false}, {"lstrip", true}}}}}});
  EXPECT_EQ(tokenizer.encode("a <|end|>"), (Ids{'a', 300}));
  EXPECT_TRUE(tokenizer.is_special(300)) << "special in one of the files";
}

TEST_F(TokenizerConfigTest, TheHashIsThatOfTheTokens) {
  const std::string plain = make_tokenizer(byte_level_json()).hash();
  EXPECT_EQ(load(Json::object()).hash(), Tokenizer::load(dir_).hash());
  const std::string alone = Tokenizer::load(dir_).hash();
  EXPECT_EQ(alone, plain);
  EXPECT_EQ(load({{"eos_token", "<|end|>"}, {"model_max_length", 5}}).hash(), alone);
  const std::string padded = load({{"pad_token", "<pad>"}}).hash();
  EXPECT_NE(padded, alone);
  EXPECT_EQ(load({{"mask_token", "<pad>"}}).hash(), padded);
}

TEST_F(TokenizerConfigTest, ContradictionsAreErrors) {
  const auto decoder = [](const char* id, const char* content) {
    return Json{{"added_tokens_decoder", {{id, {{"content", content}}}}}};
  };
  EXPECT_EQ(load_error(decoder("97", "<x>")),
            place("added_tokens_decoder.97.content") +
                ": id 97 of \"<x>\" stands for \"a\" in the vocabulary.");
  EXPECT_EQ(load_error(decoder("301", "hello")),
            place("added_tokens_decoder.301.content") +
                ": \"hello\" has id 301 here and 262 in the vocabulary.");
  EXPECT_EQ(load_error(decoder("305", "<|end|>")),
            place("added_tokens_decoder.305.content") +
                ": \"<|end|>\" has id 305 here and 300 at " +
                place("added_tokens[0].content", "tokenizer.json") + ".");
  EXPECT_EQ(load_error(decoder("300", "<x>")), place("added_tokens_decoder.300.content") +
                                                   ": id 300 stands twice among the added tokens.");
  EXPECT_EQ(load_error(decoder("-1", "<x>")),
            place("added_tokens_decoder.-1") + ": expected an id from 0 to 2147483646 as the key.");
  EXPECT_TRUE(load_error(decoder("2000000000", "<x>")).find("expected ids below") !=
              std::string::npos);
}

TEST_F(TokenizerConfigTest, WhatIsNotReadIsRefused) {
  EXPECT_EQ(load_error({{"do_lower_case", true}}),
            place("do_lower_case") + ": expected false: longgen keeps capital letters.");
  EXPECT_NE(load_error({{"split_special_tokens", true}}).find("expected false"), std::string::npos);
  EXPECT_NE(load_error({{"fix_mistral_regex", true}}).find("expected false"), std::string::npos);
  EXPECT_EQ(load_error({{"pad_token", 5}}), place("pad_token") + ": expected a string, found 5.");
  EXPECT_EQ(load_error({{"additional_special_tokens", {1}}}),
            place("additional_special_tokens[0]") + ": expected a token, found number.");
  EXPECT_EQ(load_error({{"pad_token", {{"content", "<p>"}, {"color", 1}}}}),
            place("pad_token.color") + ": not a setting that longgen knows here.");
  EXPECT_EQ(load_error(Json::array()),
            (dir_ / "tokenizer_config.json").string() + ": expected an object, found [].");
  EXPECT_EQ(load_error({{"clean_up_tokenization_spaces", true}, {"do_lower_case", nullptr}}), "");
}

TEST_F(TokenizerConfigTest, ContradictionsOfWhatTokenizerJsonSaysAreWarnings) {
  ::testing::internal::CaptureStderr();
  load({{"add_bos_token", true}, {"add_eos_token", false}, {"add_prefix_space", true}});
  const std::string warnings = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(warnings.find(place("add_bos_token") +
                          " is true, and tokenizer.json says otherwise. tokenizer.json counts, as "
                          "in transformers."),
            std::string::npos)
      << warnings;
  EXPECT_NE(warnings.find("add_prefix_space is true"), std::string::npos);
  EXPECT_EQ(warnings.find("add_eos_token"), std::string::npos);
}

}  // namespace
}  // namespace longgen
