#include "longgen/data/text_encoder.h"

#include "test_support.h"

namespace longgen {
namespace {

using TextEncoderTest = DataTest;

constexpr const char* kTokenizer = R"({
  "added_tokens": [{"id": 3, "content": "<|end|>", "single_word": false, "lstrip": false,
                    "rstrip": false, "normalized": false, "special": true}],
  "normalizer": null, "pre_tokenizer": null, "post_processor": null, "decoder": null,
  "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
            "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false,
            "vocab": {"a": 0, "b": 1, "ab": 2, "<": 4, "|": 5, "e": 6, "n": 7, "d": 8, ">": 9},
            "merges": ["a b"]}})";

TEST_F(TextEncoderTest, SpecialTokensOfTheCorpusStayText) {
  const Tokenizer tokenizer = Tokenizer::from_json(kTokenizer, "tokenizer.json");
  const TextEncoder encoder = text_encoder(tokenizer, "tiny", 1, 3);
  EXPECT_EQ(encoder.vocab_size, 10);
  EXPECT_EQ(encoder.hash, tokenizer.hash());
  prepare_dataset(encoder, options({put("a.jsonl", R"({"text": "aba<|end|>"})")}));
  const TokenDataset dataset = TokenDataset::open(dir_ / "out", kTrainSplit, true);
  EXPECT_EQ(dataset.tokens(0), (std::vector<int32_t>{1, 2, 0, 4, 5, 6, 7, 8, 5, 9, 3}));
  dataset.expect_tokenizer(tokenizer.hash());
  EXPECT_EQ(dataset.tokenizer_name(), "tiny");
}

}  // namespace
}  // namespace longgen
