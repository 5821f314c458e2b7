#include "longgen/tokenizer/gguf_vocabulary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <set>

#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {
namespace {

GgufVocabulary byte_vocabulary() {
  GgufVocabulary v;
  v.source = "m.gguf";
  v.model = "gpt2";
  v.pre = "smollm";
  for (int byte = 0; byte < 256; ++byte)
    v.tokens.push_back(byte_to_char(static_cast<unsigned char>(byte)));
  v.tokens.insert(v.tokens.end(), {"11", "ab", "<|end|>"});
  v.merges = {"1 1", "a b"};
  v.token_types.assign(v.tokens.size(), 1);
  v.token_types.back() = 3;
  v.eos_id = 258;
  v.chat_template = "{{ x }}";
  return v;
}

GgufVocabulary piece_vocabulary() {
  GgufVocabulary v;
  v.source = "m.gguf";
  v.model = "llama";
  v.tokens = {"<unk>", "<s>", "</s>", "▁", "a", "b", "ab", "▁a", "▁ab", "s"};
  v.scores = {0, 0, 0, -9, -8, -7, -2, -1, -3, -9};
  v.token_types = {2, 3, 3, 1, 1, 1, 1, 1, 1, 1};
  v.bos_id = 1;
  v.eos_id = 2;
  v.unk_id = 0;
  return v;
}

TEST(GgufVocabularyTest, SmollmSplitsDigits) {
  const TokenizerFiles files = make_tokenizer_files(byte_vocabulary());
  const Tokenizer tokenizer = Tokenizer::from_json(files.tokenizer_json, "t.json");
  EXPECT_EQ(tokenizer.encode("11"), (std::vector<int32_t>{'1', '1'}));
  EXPECT_EQ(tokenizer.encode("ab<|end|>"), (std::vector<int32_t>{257, 258}));
  const Json config = parse_json(files.tokenizer_config_json, "c.json");
  EXPECT_EQ(config["eos_token"], "<|end|>");
  EXPECT_EQ(config["chat_template"], "{{ x }}");
  GgufVocabulary other = byte_vocabulary();
  other.pre = "gpt-2";
  EXPECT_EQ(Tokenizer::from_json(make_tokenizer_files(other).tokenizer_json, "t.json").encode("11"),
            std::vector<int32_t>{256});
}

TEST(GgufVocabularyTest, MergesComeFromTheScores) {
  const TokenizerFiles files = make_tokenizer_files(piece_vocabulary());
  const Json json = parse_json(files.tokenizer_json, "t.json");
  // Merges are ordered by the score of the result, best first; of two cuts of one piece the one
  // with the longer left side comes first.
  const Json expected =
      parse_json(R"([["▁", "a"], ["a", "b"], ["▁a", "b"], ["▁", "ab"]])", "merges");
  EXPECT_EQ(json["model"]["merges"], expected);
  const Tokenizer tokenizer = Tokenizer::from_json(files.tokenizer_json, "t.json");
  EXPECT_EQ(tokenizer.encode("ab", {.add_special_tokens = true}), (std::vector<int32_t>{1, 8}));
}

TEST(GgufVocabularyTest, BadMetadataIsNamed) {
  const std::tuple<std::function<void(GgufVocabulary&)>, const char*> cases[] = {
      {[](GgufVocabulary& v) { v.model = "t5"; },
       "key tokenizer.ggml.model: expected gpt2 or llama, found \"t5\""},
      {[](GgufVocabulary& v) { v.tokens.clear(); },
       "key tokenizer.ggml.tokens: expected a vocabulary"},
      {[](GgufVocabulary& v) { v.tokens[4] = "b"; },
       "key tokenizer.ggml.tokens[5]: \"b\" is token 4 too"},
      {[](GgufVocabulary& v) { v.tokens[4] = ""; },
       "key tokenizer.ggml.tokens[4]: expected 1 to 1024 bytes"},
      {[](GgufVocabulary& v) { v.tokens[4] = "\xFF"; },
       "key tokenizer.ggml.tokens[4]: expected 1 to 1024 bytes"},
      {[](GgufVocabulary& v) { v.tokens[4] = std::string(5000, 'x'); }, "found 5000 bytes"},
      {[](GgufVocabulary& v) { v.token_types.pop_back(); },
       "key tokenizer.ggml.token_type: expected 10 types"},
      {[](GgufVocabulary& v) { v.scores.pop_back(); },
       "key tokenizer.ggml.scores: expected 10 scores"},
      {[](GgufVocabulary& v) { v.scores[4] = std::nanf(""); },
       "key tokenizer.ggml.scores[4]: expected a number"},
      {[](GgufVocabulary& v) { v.bos_id = 10; },
       "key tokenizer.ggml.bos_token_id: expected 0 to 9, found 10"},
      {[](GgufVocabulary& v) { v.bos_id.reset(); }, "key tokenizer.ggml.bos_token_id: is missing"},
  };
  for (const auto& [change, expected] : cases) {
    GgufVocabulary v = piece_vocabulary();
    change(v);
    const std::string message = error_of([&] { make_tokenizer_files(v); });
    EXPECT_TRUE(message.starts_with("m.gguf: ")) << message;
    EXPECT_NE(message.find(expected), std::string::npos) << message;
  }
}

GgufVocabulary with_pre(const std::string& pre) {
  GgufVocabulary v = byte_vocabulary();
  v.pre = pre;
  v.bos_id = v.eos_id;  // some kinds add BOS
  return v;
}

/// The words that a vocabulary without merges would join, by its tokenizer.
std::vector<int32_t> encode_as(const std::string& pre, const std::string& text) {
  const TokenizerFiles files = make_tokenizer_files(with_pre(pre));
  return Tokenizer::from_json(files.tokenizer_json, "t.json").encode(text);
}

// "11" is one token where digits stand together, and "ab" where the word is not cut before b.
TEST(GgufVocabularyTest, NamesOfOneSplitterGiveTheSameIds) {
  const std::vector<std::vector<std::string>> alike = {
      {"gpt-2", "phi-2", "mpt", "olmo", "gigachat", "mellum", "trillion"},
      {"smollm", "starcoder", "refact", "command-r", "codeshell", "minerva-7b"},
      {"llama-bpe", "llama3", "llama-v3", "falcon3", "pixtral", "midm-2.0", "dbrx", "smaug-bpe"},
      {"qwen2", "deepseek-r1-qwen", "kormo", "megrez", "stablelm2"}};
  const std::string text = "1111 ab, don't\n\n 11x";
  std::set<std::vector<int32_t>> different;
  for (const auto& names : alike) {
    const std::vector<int32_t> expected = encode_as(names[0], text);
    for (const std::string& name : names) EXPECT_EQ(encode_as(name, text), expected) << name;
    different.insert(expected);
  }
  EXPECT_EQ(encode_as("llama3", "1111"), (std::vector<int32_t>{256, '1', '1'}))
      << "groups of three digits";
  EXPECT_GE(different.size(), 3u);
  for (const char* name : {"llama3", "llama-v3", "falcon3"}) {
    const Json json = parse_json(make_tokenizer_files(with_pre(name)).tokenizer_json, "t.json");
    EXPECT_EQ(json["model"]["ignore_merges"], true) << name;
  }
}

TEST(GgufVocabularyTest, AMissingPreIsAWarning) {
  const auto warning = [](GgufVocabulary v) {
    ::testing::internal::CaptureStderr();
    const TokenizerFiles files = make_tokenizer_files(v);
    EXPECT_EQ(Tokenizer::from_json(files.tokenizer_json, "t.json").encode("11"),
              std::vector<int32_t>{256})
        << "as in GPT-2";
    return ::testing::internal::GetCapturedStderr();
  };
  const std::string missing = warning(with_pre(""));
  EXPECT_NE(missing.find("m.gguf: key tokenizer.ggml.pre is missing, so words are split as in "
                         "GPT-2, which is wrong for most models. Name the right way: import "
                         "--pre-tokenizer llama-bpe, qwen2, smollm or gpt-2."),
            std::string::npos)
      << missing;
  EXPECT_NE(warning(with_pre("default")).find("is \"default\""), std::string::npos);
  GgufVocabulary llama3 = with_pre("default");
  llama3.tokens.push_back("<|begin_of_text|>");
  llama3.token_types.push_back(3);
  EXPECT_NE(warning(llama3).find("this one looks like Llama 3: import it with --pre-tokenizer "
                                 "llama-bpe."),
            std::string::npos);
  ::testing::internal::CaptureStderr();
  make_tokenizer_files(with_pre("gpt-2"));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(GgufVocabularyTest, AnUnknownPreNamesTheKnownOnesAndTheOption) {
  EXPECT_EQ(error_of([] { make_tokenizer_files(with_pre("tekken")); }),
            "m.gguf: key tokenizer.ggml.pre: expected a way to split words that longgen has "
            "(gpt-2, phi-2, mpt, olmo, gigachat, mellum, trillion, smollm, starcoder, refact, "
            "command-r, codeshell, minerva-7b, llama-bpe, llama3, llama-v3, falcon3, pixtral, "
            "midm-2.0, dbrx, smaug-bpe, qwen2, deepseek-r1-qwen, kormo, megrez, stablelm2), found "
            "\"tekken\". If one of them splits alike, name it: import --pre-tokenizer NAME.");
}

}  // namespace
}  // namespace longgen
