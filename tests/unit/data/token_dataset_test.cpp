#include "longgen/base/json.h"
#include "longgen/data/dataset_format.h"
#include "test_support.h"

namespace longgen {
namespace {

/// Returns the hash of the bytes as it stands at the end of an index.
std::string footer_hash(const std::string& bytes) {
  const uint64_t hash = std::stoull(hash_hex(bytes), nullptr, 16);
  return {reinterpret_cast<const char*>(&hash), sizeof(hash)};
}

class TokenDatasetTest : public DataTest {
 protected:
  void SetUp() override {
    DataTest::SetUp();
    PrepareOptions o = options({put("a.txt", "abc\n<|endoftext|>\nde\n<|endoftext|>\nf")});
    o.shard_tokens = 4;  // abc. de.f .
    prepare_dataset(byte_encoder(), o);
    manifest_ = parse_json(read_file(dir_ / "out/manifest.json"), "manifest.json");
  }

  TokenDataset open(bool verify = false) {
    return TokenDataset::open(dir_ / "out", kTrainSplit, verify);
  }

  /// The message after `pointer` of the manifest was set to `value`.
  std::string error_with(const std::string& pointer, const Json& value) {
    Json changed = manifest_;
    changed[Json::json_pointer(pointer)] = value;
    put("out/manifest.json", dump_json(changed));
    return error_of([&] { open(); });
  }

  /// Writes the index with another content and a manifest that vouches for it.
  std::string error_with_index(const std::string& bytes) {
    put("out/train.idx", bytes);
    return error_with("/splits/train/index/xxh3", hash_hex(bytes));
  }

  Json manifest_;
};

TEST_F(TokenDatasetTest, ReadsDocumentsAcrossShards) {
  const TokenDataset dataset = open(true);
  EXPECT_EQ(dataset.num_tokens(), 9);
  EXPECT_EQ(dataset.num_documents(), 3);
  EXPECT_EQ(texts_of(dataset), (Texts{"abc", "de", "f"}));
  EXPECT_EQ(dataset.vocab_size(), 257);
  EXPECT_EQ(dataset.end_id(), kEndId);
  for (int64_t position = 0; position < 9; ++position) {
    const int64_t document = dataset.document_at(position);
    EXPECT_LE(dataset.document_begin(document), position);
    EXPECT_GT(dataset.document_end(document), position);
  }
  std::vector<int32_t> all(9);
  dataset.read(0, all);
  EXPECT_EQ(all, (std::vector<int32_t>{'a', 'b', 'c', 256, 'd', 'e', 256, 'f', 256}));
}

TEST_F(TokenDatasetTest, PositionsOutsideAreErrors) {
  const TokenDataset dataset = open();
  std::vector<int32_t> two(2);
  EXPECT_TRUE(contains(error_of([&] { dataset.read(8, two); }), "lie outside split train"));
  EXPECT_NE(error_of([&] { dataset.read(-1, two); }), "");
  EXPECT_NE(error_of([&] { dataset.read(INT64_MAX, two); }), "");
  EXPECT_NE(error_of([&] { dataset.tokens(3); }), "");
  EXPECT_NE(error_of([&] { dataset.tokens(-1); }), "");
  EXPECT_NE(error_of([&] { dataset.document_at(9); }), "");
}

TEST_F(TokenDatasetTest, TheTokenizerIsChecked) {
  const TokenDataset dataset = open();
  dataset.expect_tokenizer("0123456789abcdef");
  EXPECT_TRUE(contains(error_of([&] { dataset.expect_tokenizer("other"); }),
                       "come from another tokenizer than the model's (bytes"));
}

TEST_F(TokenDatasetTest, TheHashChangesWithTheContent) {
  const std::string before = open().hash();
  EXPECT_EQ(open().hash(), before);
  prepare_dataset(byte_encoder(), options({put("a.txt", "other")}));
  EXPECT_NE(open().hash(), before);
}

TEST_F(TokenDatasetTest, WrongFieldsOfTheManifestAreNamed) {
  EXPECT_TRUE(contains(error_with("/format", "x"), "field format: expected \"longgen token"));
  EXPECT_TRUE(contains(error_with("/version", 3), "field version: expected 1 or 2, found 3"));
  EXPECT_TRUE(contains(error_with("/token_type", "int8"), "field token_type: expected \"uint16\""));
  EXPECT_TRUE(contains(error_with("/shard_tokens", 0), "field shard_tokens"));
  EXPECT_TRUE(contains(error_with("/shard_tokens", 5), "expected a list of 2 shards"));
  EXPECT_TRUE(contains(error_with("/tokenizer/vocab_size", 65537), "tokenizer.vocab_size"));
  EXPECT_TRUE(contains(error_with("/tokenizer/end_id", 257), "tokenizer.end_id"));
  EXPECT_TRUE(contains(error_with("/splits/train", 1), "splits.train"));
  EXPECT_TRUE(contains(error_with("/splits/train/num_tokens", -1), "splits.train.num_tokens"));
  EXPECT_TRUE(contains(error_with("/splits/train/num_tokens", INT64_MAX), "num_tokens"));
  EXPECT_TRUE(contains(error_with("/splits/train/num_tokens", kMaxTokens), "splits.train.shards"));
  EXPECT_TRUE(contains(error_with("/splits/train/num_tokens", 10), "shards[2].bytes: expected 4"));
  EXPECT_TRUE(contains(error_with("/splits/train/num_documents", 4), "index.bytes: expected 80"));
  EXPECT_TRUE(contains(error_with("/splits/train/num_documents", 10), "num_documents"));
  EXPECT_TRUE(contains(error_with("/splits/train/shards", "x"), "found something else"));
  EXPECT_TRUE(contains(error_with("/splits/train/shards/1", 5), "splits.train.shards[1]"));
  EXPECT_TRUE(contains(error_with("/splits/train/shards/0/file", "../a"), "leads out"));
  EXPECT_TRUE(
      contains(error_with("/splits/train/shards/0/file", "none"), "none: cannot be opened"));
  EXPECT_TRUE(contains(error_with("/splits/train/index/file", "/etc/passwd"), "leads out"));
  EXPECT_TRUE(contains(error_with("/splits/train/index/xxh3", "00"), "train.idx: expected hash"));
  put("out/manifest.json", "{\"format\": ");
  EXPECT_TRUE(contains(error_of([&] { open(); }), "manifest.json: not valid JSON"));
  fs::remove(dir_ / "out/manifest.json");
  EXPECT_TRUE(
      contains(error_of([&] { open(); }),
               "expected a token dataset, found a folder without manifest.json. Make one of "
               "texts: longgen prepare "));
  put("out/config.json", "{}");
  EXPECT_TRUE(contains(error_of([&] { open(); }),
                       "found a model directory. Make one of texts: longgen prepare IN OUT"));
  EXPECT_TRUE(contains(error_of([&] { TokenDataset::open(dir_ / "none", "train"); }),
                       "found nothing of this name. Make one of texts: longgen prepare IN OUT"));
  EXPECT_TRUE(contains(error_of([&] { TokenDataset::open(dir_ / "out", "test"); }), "split"));
}

TEST_F(TokenDatasetTest, ShardsOfAnotherSizeOrContentAreErrors) {
  const std::string good = read_file(dir_ / "out/train-00001.bin");
  put("out/train-00001.bin", good.substr(1));
  EXPECT_TRUE(contains(error_of([&] { open(); }),
                       "train-00001.bin: expected 8 bytes by the manifest, found 7"));
  std::string changed = good;
  changed[0] ^= 1;
  put("out/train-00001.bin", changed);
  EXPECT_EQ(error_of([&] { open(); }), "") << "hashes of shards are checked on request";
  EXPECT_TRUE(contains(error_of([&] { open(true); }), "train-00001.bin: expected hash"));
  changed[1] = '\x7F';
  put("out/train-00001.bin", changed);
  const TokenDataset dataset = open();
  EXPECT_TRUE(contains(error_of([&] { dataset.tokens(1); }), "expected token ids up to 256"));
}

TEST_F(TokenDatasetTest, HostileIndexesAreErrors) {
  const std::string good = read_file(dir_ / "out/train.idx");
  constexpr size_t kBody = 16 + 4 * 8, kHash = kBody + 16;
  ASSERT_EQ(good.size(), kHash + 8);
  EXPECT_TRUE(contains(error_of([&] {
                         put("out/train.idx", good.substr(0, 40));
                         open();
                       }),
                       "train.idx: expected 72 bytes"));
  const auto changed = [&](size_t at, char value) {
    std::string bytes = good;
    bytes[at] = value;
    if (at < kHash) bytes.replace(kHash, 8, footer_hash(bytes.substr(0, kBody)));
    return error_with_index(bytes);
  };
  EXPECT_EQ(error_with_index(good), "");
  EXPECT_TRUE(contains(changed(0, 'X'), "found another header"));
  EXPECT_TRUE(contains(changed(8, 2), "found another header"));
  EXPECT_TRUE(contains(changed(16, 1), "offset 0: expected 0, found 1"));
  EXPECT_TRUE(contains(changed(24, 0), "offset 1: expected more than 0, found 0"));
  EXPECT_TRUE(contains(changed(32, 3), "offset 2: expected more than 4, found 3"));
  EXPECT_TRUE(contains(changed(31, '\x80'), "offset 1: expected more than 0"));
  EXPECT_TRUE(contains(changed(40, 10), "last offset: expected 9, found 10"));
  EXPECT_TRUE(contains(changed(48, 4), "num_documents: expected 3 by the manifest, found 4"));
  EXPECT_TRUE(contains(changed(56, 8), "num_tokens: expected 9 by the manifest, found 8"));
  EXPECT_TRUE(contains(changed(64, static_cast<char>(good[64] ^ 1)), "train.idx: hash: expected"));
}

}  // namespace
}  // namespace longgen
