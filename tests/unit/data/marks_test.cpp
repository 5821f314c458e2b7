#include "longgen/data/marks.h"

#include <algorithm>
#include <map>

#include "longgen/base/json.h"
#include "longgen/data/packing.h"
#include "longgen/data/split_writer.h"
#include "test_support.h"

namespace longgen {
namespace {

using Marks = std::vector<uint8_t>;
using Ids = std::vector<int32_t>;

Marks marks_of(const TokenDataset& dataset) {
  Marks marks(static_cast<size_t>(dataset.num_tokens()));
  dataset.read_marks(0, marks);
  return marks;
}

class MarksTest : public DataTest {
 protected:
  TokenDataset prepared(const std::string& lines, int64_t shard_tokens = 4) {
    PrepareOptions o = options({put("a.jsonl", lines)});
    o.shard_tokens = shard_tokens;
    summary_ = prepare_dataset(byte_encoder(), o);
    return TokenDataset::open(dir_ / "out", kTrainSplit, true);
  }

  /// The reason after the file's name why the line is bad.
  std::string reason(const std::string& line) {
    const std::string file = (dir_ / "a.jsonl").string();
    const std::string error = prepare_error({put("a.jsonl", line)});
    EXPECT_TRUE(error.starts_with(file + ":1: ")) << error;
    return error.substr(std::min(error.size(), file.size() + 4));
  }

  PrepareSummary summary_;
};

TEST(MarkPlacesTest, ATokenThatSharesAByteIsInside) {
  const std::vector<ByteRange> places = {{0, 2}, {2, 5}, {5, 5}, {5, 6}, {6, 9}, {9, 10}};
  const auto inside = [&](const std::vector<ByteRange>& ranges) {
    return mark_places(places, ranges, Mark::answer, Mark::ordinary);
  };
  EXPECT_EQ(inside({}), (Marks{1, 1, 1, 1, 1, 1}));
  EXPECT_EQ(inside({{2, 5}}), (Marks{1, 2, 1, 1, 1, 1}));
  EXPECT_EQ(inside({{1, 3}, {8, 10}}), (Marks{2, 2, 1, 1, 2, 2}));
  EXPECT_EQ(inside({{3, 4}, {4, 7}}), (Marks{1, 2, 2, 2, 2, 1}));
}

TEST_F(MarksTest, AnswersMarkTheirTokens) {
  const TokenDataset dataset = prepared(
      "{\"text\": \"ab\"}\n"
      "{\"answers\": [[1, 3], [3, 4]], \"text\": \"vwxyz\"}\n"
      "{\"text\": \"é!\", \"answers\": [[0, 2]]}\n");
  EXPECT_EQ(texts_of(dataset), (Texts{"ab", "vwxyz", "é!"}));
  EXPECT_TRUE(dataset.has_marks());
  EXPECT_EQ(marks_of(dataset), (Marks{1, 1, 1, /**/ 1, 2, 2, 2, 1, 1, /**/ 2, 2, 1, 1}));
  EXPECT_EQ(summary_.num_answer_tokens, 5);
  EXPECT_EQ(summary_.num_ignored_tokens, 0);
  const Json manifest = parse_json(read_file(dir_ / "out/manifest.json"), "manifest.json");
  EXPECT_EQ(manifest["version"], 2);
  EXPECT_EQ(manifest["splits"]["train"]["marks"][1]["file"], "train-00001.marks");
  EXPECT_EQ(manifest["splits"]["train"]["marks"][1]["bytes"], 4);
  EXPECT_EQ(read_file(dir_ / "out/train-00001.marks"), "\x02\x02\x02\x01");
  EXPECT_EQ(manifest["splits"]["train"]["marks"][1]["xxh3"], hash_hex("\x02\x02\x02\x01"));
}

TEST_F(MarksTest, WithoutAnswersTheBytesAreThoseOfBefore) {
  prepared("{\"text\": \"abcdef\"}\n");
  const std::string manifest = read_file(dir_ / "out/manifest.json");
  const TokenDataset dataset =
      prepared("{\"text\": \"abcdef\", \"answers\": [], \"messages\": null}\n");
  EXPECT_FALSE(dataset.has_marks());
  EXPECT_EQ(marks_of(dataset), Marks(7, 1));
  // The longer line has more bytes; all else is the same.
  const auto without_sources = [](std::string text) {
    return text.substr(0, text.find("sources"));
  };
  EXPECT_EQ(without_sources(read_file(dir_ / "out/manifest.json")), without_sources(manifest));
  EXPECT_EQ(parse_json(manifest, "m")["version"], 1);
  EXPECT_FALSE(fs::exists(dir_ / "out/train-00000.marks"));
}

TEST_F(MarksTest, MarksBeginWithTheFirstTokenThatIsNotOrdinary) {
  fs::create_directory(dir_ / "split");
  for (const int64_t before : {0, 1, 4, 9}) {  // tokens before it, in shards of 4
    SplitWriter writer(dir_ / "split", kTrainSplit, TokenType::uint16, 4);
    const Ids tokens(static_cast<size_t>(before), 5);
    if (before > 0) writer.add_document(tokens);
    EXPECT_FALSE(writer.has_marks());
    writer.add_document(Ids{6, 7, 8}, Marks{0, 2, 1});
    writer.add_document(Ids{9});
    const OrderedJson split = writer.finish();
    Marks expected(static_cast<size_t>(before), 1);
    for (const uint8_t mark : {0, 2, 1, 1}) expected.push_back(mark);
    std::string written;
    for (const OrderedJson& entry : split["marks"]) {
      written += read_file(dir_ / "split" / entry["file"].get<std::string>());
    }
    EXPECT_EQ(Marks(written.begin(), written.end()), expected);
    EXPECT_EQ(split["marks"].size(), split["shards"].size());
  }
}

TEST_F(MarksTest, TheEncoderPutsOrdinaryTokensAround) {
  TextEncoder encoder = byte_encoder();
  encoder.begin_id = 7;
  prepare_dataset(encoder, options({put("a.jsonl", R"({"text": "ab", "answers": [[0, 2]]})")}));
  const TokenDataset dataset = TokenDataset::open(dir_ / "out", kTrainSplit);
  EXPECT_EQ(dataset.tokens(0), (Ids{7, 'a', 'b', 256}));
  EXPECT_EQ(marks_of(dataset), (Marks{1, 2, 2, 1}));
}

TEST_F(MarksTest, WrongAnswersAreBadLines) {
  const auto with = [&](const std::string& answers) {
    return reason("{\"text\": \"aéz\", \"answers\": " + answers + "}");
  };
  EXPECT_TRUE(
      with("7").starts_with("the field \"answers\": expected a list of [begin, end], in "
                            "bytes of the text. Where it means something else, "
                            "--text-only takes the text alone. Nothing was written."));
  EXPECT_TRUE(with("{\"text\": []}").starts_with("the field \"answers\": expected a list"));
  for (const char* item : {"3", "[1]", "[0, 1, 2]", "[-1, 1]", "[0, 1.5]", "[\"0\", 1]"}) {
    EXPECT_TRUE(with(std::string("[[0, 1], ") + item + "]")
                    .starts_with("the field \"answers\"[1]: expected [begin, end], two integers "
                                 "from 0 on"))
        << item;
  }
  EXPECT_TRUE(
      with("[[0, 5]]")
          .starts_with(
              "the field \"answers\"[0]: expected 0 <= begin < end <= 4 (behind the one before it, inside "
              "the text), found [0, 5]"));
  EXPECT_TRUE(contains(with("[[3, 4], [0, 1]]"), "[1]: expected 4 <= begin < end <= 4"));
  EXPECT_TRUE(contains(with("[[0, 3], [1, 4]]"), "[1]: expected 3 <= begin"));
  EXPECT_TRUE(contains(with("[[1, 1]]"), "found [1, 1]"));
  EXPECT_TRUE(contains(with("[[0, 18446744073709551615]]"), "found [0, 18446744073709551615]"));
  EXPECT_TRUE(contains(with("[[0, 2]]"), "between characters of UTF-8, found [0, 2], which cuts"));
  EXPECT_TRUE(contains(with("[[2, 3]]"), "found [2, 3], which cuts one"));
  EXPECT_TRUE(contains(with("[[0, 1]], \"n\": 1" + std::string(400, '0')),
                       "beside the field \"answers\": expected numbers of at most 64 bits"));
  EXPECT_TRUE(contains(with("[], \"answers\": []"), "the field \"answers\" stands twice"));
  EXPECT_TRUE(contains(with("[], \"messages\": []"),
                       "the field \"text\" and the field \"messages\": expected one of them"));
}

TEST_F(MarksTest, TextOnlyTakesTheTextAlone) {
  PrepareOptions o = options({put("a.jsonl", R"({"text": "a", "answers": 7, "messages": [1]})")});
  o.text_only = true;
  prepare_dataset(byte_encoder(), o);
  EXPECT_EQ(texts_of(TokenDataset::open(dir_ / "out", kTrainSplit)), Texts{"a"});
}

TEST_F(MarksTest, DamagedMarksAreErrors) {
  prepared("{\"text\": \"abcdef\", \"answers\": [[0, 1]]}");
  const auto open_error = [&](bool verify) {
    return error_of([&] { TokenDataset::open(dir_ / "out", kTrainSplit, verify); });
  };
  const std::string good = read_file(dir_ / "out/train-00001.marks");
  put("out/train-00001.marks", good + "\x01");
  EXPECT_TRUE(
      contains(open_error(false), "train-00001.marks: expected 3 bytes by the manifest, found 4"));
  put("out/train-00001.marks", "\x01\x03\x01");
  EXPECT_TRUE(contains(open_error(true), "train-00001.marks: expected hash"));
  const TokenDataset dataset = TokenDataset::open(dir_ / "out", kTrainSplit);
  EXPECT_TRUE(contains(error_of([&] { marks_of(dataset); }),
                       "train-00001.marks: expected marks up to 2, found 3: the file is damaged"));
  const Packing packing(dataset, {5, PackingMode::packed, 0});
  EXPECT_TRUE(contains(error_of([&] { packing.sample(0); }), "expected marks up to 2"));
  Marks two(2);
  EXPECT_TRUE(contains(error_of([&] { dataset.read_marks(6, two); }), "lie outside split train"));
  put("out/train-00001.marks", good);
  Json manifest = parse_json(read_file(dir_ / "out/manifest.json"), "m");
  const auto error_with = [&](const std::string& pointer, const Json& value) {
    Json changed = manifest;
    changed[Json::json_pointer(pointer)] = value;
    put("out/manifest.json", dump_json(changed));
    return open_error(false);
  };
  EXPECT_EQ(error_with("/version", 2), "");
  EXPECT_TRUE(contains(error_with("/version", 1),
                       "marks: expected none in a dataset of version 1, found marks"));
  EXPECT_TRUE(contains(error_with("/version", 3), "field version: expected 1 or 2, found 3"));
  EXPECT_TRUE(
      contains(error_with("/splits/train/marks", Json::array()),
               "marks: expected a list of 2 files by num_tokens and shard_tokens, found 0"));
  EXPECT_TRUE(contains(error_with("/splits/train/marks", 7), "found something else"));
  EXPECT_TRUE(contains(error_with("/splits/train/marks/0/bytes", 5), "expected 4 by"));
  EXPECT_TRUE(contains(error_with("/splits/train/marks/0/file", "../x"), "leads out"));
}

// Targets are the tokens behind a sample's, and so are the marks.
TEST_F(MarksTest, SamplesHaveTheMarksOfTheirTargets) {
  fs::create_directory(dir_ / "marked");
  SplitWriter writer(dir_ / "marked", kTrainSplit, TokenType::uint16, 100);
  writer.add_document(Ids{10, 11, 12, 13, 14}, Marks{1, 0, 0, 2, 1});
  writer.add_document(Ids{20, 21, 22}, Marks{1, 0, 1});
  writer.add_document(Ids{30, 31});
  SplitWriter none(dir_ / "marked", kHeldOutSplit, TokenType::uint16, 100);
  const OrderedJson manifest = {
      {"format", kDatasetFormat},
      {"version", kMarkedVersion},
      {"token_type", "uint16"},
      {"shard_tokens", 100},
      {"tokenizer", {{"name", "t"}, {"hash", "h"}, {"vocab_size", 100}}},
      {"splits", {{"train", writer.finish()}, {"held_out", none.finish()}}}};
  write_file(dir_ / "marked" / kDatasetManifest, dump_json(manifest));
  const TokenDataset dataset = TokenDataset::open(dir_ / "marked", kTrainSplit);
  const Packing packing(dataset, {10, PackingMode::packed, 0});
  const Sample sample = packing.sample(0);
  ASSERT_EQ(sample.marks.size(), 10u);
  const std::map<int32_t, std::pair<int32_t, int>> expected = {
      {10, {-1, 0}}, {11, {-1, 0}}, {12, {13, 2}}, {13, {14, 1}}, {14, {-1, 0}},
      {20, {-1, 0}}, {21, {22, 1}}, {22, {-1, 0}}, {30, {31, 1}}, {31, {-1, 0}}};
  for (size_t t = 0; t < 10; ++t) {
    const auto [target, mark] = expected.at(sample.tokens[t]);
    EXPECT_EQ(sample.targets[t], target) << sample.tokens[t];
    EXPECT_EQ(int{sample.marks[t]}, mark) << sample.tokens[t];
  }
  // Where a sample has no answer, its targets say all; where it has no target at all, the next one
  // in the epoch's order takes its place.
  const Packing pairs(dataset, {2, PackingMode::whole, 5});
  std::vector<Ids> found;
  for (int64_t i = 0; i < pairs.samples_per_epoch(); ++i) {
    const Sample pair = pairs.sample(i);
    found.push_back(pair.targets);
    const bool has_answer = std::ranges::find(pair.targets, 13) != pair.targets.end();
    EXPECT_EQ(pair.marks, has_answer ? Marks({2, 1}) : Marks{});
    EXPECT_NE(pair.targets, (Ids{-1, -1}));
  }
  std::ranges::sort(found);
  EXPECT_EQ(found.end() - std::unique(found.begin(), found.end()), 2)
      << "[10, 11] and [14, 22] have no target";
}

}  // namespace
}  // namespace longgen
