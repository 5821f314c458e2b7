#include "longgen/tokenizer/gguf_vocabulary.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

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
  // By the score of the result, best first; of two cuts of one piece the one with the longer left
  // side.
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
  GgufVocabulary v = byte_vocabulary();
  v.pre = "mystery";
  EXPECT_EQ(error_of([&] { make_tokenizer_files(v); }),
            "m.gguf: key tokenizer.ggml.pre: expected smollm, llama-bpe, qwen2, gpt-2 or default, "
            "found \"mystery\".");
}

}  // namespace
}  // namespace longgen
