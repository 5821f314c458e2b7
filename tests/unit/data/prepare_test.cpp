#include <sys/resource.h>
#include <sys/wait.h>

#include <cmath>
#include <csignal>
#include <new>
#include <set>

#include "longgen/base/json.h"
#include "test_support.h"

namespace longgen {
namespace {

using PrepareTest = DataTest;

std::string json_lines(int count, const std::string& prefix = "document ") {
  std::string lines;
  for (int i = 0; i < count; ++i) {
    lines += "{\"text\": \"" + prefix + std::to_string(i) + "\"}\n";
  }
  return lines;
}

/// Every file of a dataset, name and content.
std::vector<std::pair<std::string, std::string>> content_of(const fs::path& directory) {
  std::vector<std::pair<std::string, std::string>> content;
  for (const fs::path& path : list_files(directory)) {
    content.emplace_back(path.filename().string(), read_file(path));
  }
  return content;
}

TEST_F(PrepareTest, CountsAndManifestSayWhatWasWritten) {
  const fs::path a = put("a.txt", "abc\n<|endoftext|>\n<|endoftext|>\nde");
  const fs::path b = put("b.jsonl", "{\"text\": \"\"}\n{\"text\": \"f\"}\n");
  PrepareOptions o = options({a, b});
  o.shard_tokens = 4;
  const PrepareSummary summary = prepare_dataset(byte_encoder(), o);
  EXPECT_EQ(summary.train.num_documents, 3);
  EXPECT_EQ(summary.train.num_tokens, 9);  // 6 bytes and three end tokens
  EXPECT_EQ(summary.held_out.num_documents, 0);
  EXPECT_EQ(summary.num_empty_documents, 2);
  EXPECT_EQ(summary.num_bad_lines, 0);
  EXPECT_EQ(summary.text_bytes, 6);
  EXPECT_EQ(summary.num_sources, 2);
  const Json manifest = parse_json(read_file(dir_ / "out/manifest.json"), "manifest.json");
  EXPECT_EQ(manifest["token_type"], "uint16");
  EXPECT_EQ(manifest["tokenizer"]["hash"], "0123456789abcdef");
  EXPECT_EQ(manifest["splits"]["train"]["num_tokens"], 9);
  EXPECT_EQ(manifest["splits"]["train"]["shards"].size(), 3u);
  EXPECT_EQ(manifest["splits"]["train"]["shards"][2]["bytes"], 2);
  EXPECT_EQ(manifest["splits"]["train"]["shards"][0]["xxh3"],
            hash_hex(read_file(dir_ / "out/train-00000.bin")));
  EXPECT_EQ(manifest["sources"][0]["path"], a.string());
  EXPECT_EQ(read_file(dir_ / "out/train-00002.bin"), std::string("\x00\x01", 2)) << "little endian";
}

TEST_F(PrepareTest, LargeVocabulariesTake32Bits) {
  TextEncoder encoder = byte_encoder(65537);
  encoder.encode = [](std::string_view) { return std::vector<int32_t>{65536, 1}; };
  prepare_dataset(encoder, options({put("a.txt", "x")}));
  const TokenDataset dataset = TokenDataset::open(dir_ / "out", kTrainSplit, true);
  EXPECT_EQ(dataset.tokens(0), (std::vector<int32_t>{65536, 1, kEndId}));
  EXPECT_EQ(fs::file_size(dir_ / "out/train-00000.bin"), 12u);
  EXPECT_EQ(prepare_dataset(byte_encoder(65536), options({dir_ / "a.txt"})).token_type,
            TokenType::uint16);
}

TEST_F(PrepareTest, BeginAndEndIdsAreOptional) {
  TextEncoder encoder = byte_encoder();
  encoder.begin_id = 7;
  encoder.end_id.reset();
  prepare_dataset(encoder, options({put("a.txt", "ab")}));
  const TokenDataset dataset = TokenDataset::open(dir_ / "out", kTrainSplit);
  EXPECT_EQ(dataset.tokens(0), (std::vector<int32_t>{7, 'a', 'b'}));
  EXPECT_FALSE(dataset.end_id());
}

TEST_F(PrepareTest, TheOutputDoesNotDependOnThreadsOrMemory) {
  std::string text;
  for (int i = 0; i < 3000; ++i) {
    text += std::string(static_cast<size_t>(i * 37 % 2000), static_cast<char>('a' + i % 26)) +
            "\n<|endoftext|>\n";
  }
  const std::vector<fs::path> inputs = {
      put("a.txt", text), put("b.jsonl.gz", gzip(json_lines(9000))), put("c.txt.zst", zstd(text))};
  std::vector<std::pair<std::string, std::string>> first;
  for (const auto& [threads, pending] :
       {std::pair<int, int64_t>{1, 1}, {2, 1 << 20}, {7, 1 << 28}}) {
    PrepareOptions o = options(inputs);
    o.num_threads = threads;
    o.max_pending_bytes = pending;
    o.held_out_share = 0.1;
    o.shard_tokens = 1000003;
    prepare_dataset(byte_encoder(), o);
    if (first.empty()) first = content_of(dir_ / "out");
    EXPECT_TRUE(first == content_of(dir_ / "out")) << threads << " threads";
  }
  EXPECT_GT(first.size(), 6u);
}

TEST_F(PrepareTest, ABadLineStopsWithFileAndLine) {
  const std::string good = "{\"text\": \"good\"}\n";
  const std::pair<std::string, std::string> cases[] = {
      {"{\"text\": \"x\"", "not valid JSON"},
      {"[1]", "expected one JSON object a line, found an array. jq -c '.[]' FILE"},
      {"7", "expected one JSON object a line, found another value"},
      {"{\"tekst\": \"x\"}", "the field \"text\" is missing"},
      {"{\"text\": null}", "the field \"text\": expected a string"},
      {"{\"text\": \"a\", \"text\": \"b\"}", "the field \"text\" stands twice"},
      {"{\"text\": \"a\"} {}", "not valid JSON"},
      {"{\"text\": \"a\", \"b\": tru}", "not valid JSON"},
      {"{\"text\": \"\xFF\"}", "not valid JSON: not valid UTF-8"},
      {"{\"b\": NaN, \"text\": \"x\"}",
       "not valid JSON: JSON has no NaN, which Python's json module writes. Write null"},
      {"{\"b\": [1, -Infinity], \"text\": \"x\"}", "not valid JSON: JSON has no -Infinity"},
      {"{\"b\": -NaN1, \"text\": \"NaN\"}", "not valid JSON: Problem"},
      {"{\"b\": 01234567890123456789012, \"text\": \"x\"}", "not valid JSON"},
      {"{",
       "not valid JSON: expected one JSON object a line, found a line that ends inside an "
       "object or array. JSON over several lines is made so by jq -c . FILE, an array by jq "
       "-c '.[]' FILE"},
      {"[", "not valid JSON: expected one JSON object a line, found a line that ends inside"},
      {"  \"text\": \"a\",",
       "not valid JSON: expected one JSON object a line, found a line that "
       "begins with none"},
      {"}", "not valid JSON: expected one JSON object a line, found the end of an object"},
      {"{\"text\": \"a\", \"b\": " + std::string(1100, '[') + std::string(1100, ']') + "}",
       "JSON nested deeper than 1024 levels"},
      {"{\"text\": \"\\ud800\"}", "not valid JSON"},
      {std::string(5000, '['), ""},
  };
  for (const auto& [line, reason] : cases) {
    const std::string message = prepare_error({put("a.jsonl", good + "\n" + line + "\n" + good)});
    EXPECT_TRUE(contains(message, "a.jsonl:3: " + reason)) << line;
    EXPECT_TRUE(contains(message, "--skip-bad"));
    EXPECT_EQ(names(), (Texts{"a.jsonl"})) << "nothing may be left behind";
  }
  const std::string text = "good\n<|endoftext|>\nfine\nbad \xC3\x28\nend\n";
  fs::remove(dir_ / "a.jsonl");
  EXPECT_TRUE(contains(prepare_error({put("a.txt", text)}), "a.txt:4: not valid UTF-8"));
}

// JSON has no largest number. Files have hashes and ids of 128 bits in other fields.
TEST_F(PrepareTest, NumbersOfOtherFieldsMayBeOfAnySize) {
  const std::string big(400, '9');
  const std::string lines =
      "{\"id\": 123456789012345678901234567890, \"text\": \"a\"}\n"
      "{\"text\": \"b 1e999 \\\" 18446744073709551616\", \"b\": [-" +
      big + ", 1e999, -1.5E-999, {\"c\": 18446744073709551616}]}\n" +
      "{\"text\": \"c\", \"b\": " + big + "." + big + "e+1}";
  EXPECT_EQ(documents({put("a.jsonl", lines)}),
            (Texts{"a", "b 1e999 \" 18446744073709551616", "c"}));
  EXPECT_TRUE(
      contains(prepare_error({put("a.jsonl", "{\"text\": 123456789012345678901234567890}")}),
               "a.jsonl:1: the field \"text\": expected a string"));
  EXPECT_TRUE(contains(
      prepare_error({put("a.jsonl", "{\"id\": 123456789012345678901234567890 1, \"text\": \"\"}")}),
      "a.jsonl:1: not valid JSON"));
}

TEST_F(PrepareTest, TheLargestIdIsThatOfTheTokens) {
  TextEncoder encoder = byte_encoder(300);
  encoder.end_id.reset();
  prepare_dataset(encoder, options({put("a.txt", "az\n<|endoftext|>\nb")}));
  const TokenDataset dataset = TokenDataset::open(dir_ / "out", kTrainSplit);
  EXPECT_EQ(dataset.vocab_size(), 300);
  EXPECT_EQ(dataset.largest_id(), 'z');
  prepare_dataset(byte_encoder(300), options({dir_ / "a.txt"}));
  EXPECT_EQ(TokenDataset::open(dir_ / "out", kTrainSplit).largest_id(), kEndId);
}

TEST_F(PrepareTest, SkipBadCountsAndLeavesOut) {
  const fs::path lines = put("a.jsonl", "{\"text\": \"a\"}\nnonsense\n{\"text\": \"b\"}\n{}");
  const fs::path text = put("b.txt", "c\n\xFF\nd\n\xFE\n<|endoftext|>\n\xFF");
  PrepareOptions o = options({lines, text});
  o.skip_bad = true;
  const PrepareSummary summary = prepare_dataset(byte_encoder(), o);
  EXPECT_EQ(summary.num_bad_lines, 5);
  EXPECT_EQ(summary.num_empty_documents, 0) << "a document of only bad lines is counted as those";
  ASSERT_EQ(summary.first_bad_lines.size(), 5u);
  EXPECT_TRUE(contains(summary.first_bad_lines[1], "a.jsonl:4: the field \"text\" is missing"));
  EXPECT_TRUE(contains(summary.first_bad_lines[3], "b.txt:4: not valid UTF-8"));
  EXPECT_TRUE(contains(summary.first_bad_lines[4], "b.txt:6: "));
  EXPECT_EQ(texts_of(TokenDataset::open(o.output, kTrainSplit)), (Texts{"a", "b", "c\nd\n"}));
}

TEST_F(PrepareTest, DocumentsOverTheLimitAreBadLines) {
  const std::string big(2000, 'x');
  const fs::path text = put("a.txt", "a\n<|endoftext|>\n" + big + "\n" + big + "\n<|endoftext|>\n" +
                                         std::string(1000, 'y') + "\n<|endoftext|>\n" + big);
  const fs::path lines = put("b.jsonl", "{\"text\": \"" + big + "\"}\n{\"text\": \"b\"}\n");
  PrepareOptions o = options({text, lines});
  o.max_document_bytes = 1001;  // its newline counts
  EXPECT_TRUE(contains(error_of([&] { prepare_dataset(byte_encoder(), o); }),
                       "a.txt:3: the document that starts here is over the size limit"));
  o.skip_bad = true;
  const PrepareSummary summary = prepare_dataset(byte_encoder(), o);
  EXPECT_EQ(summary.num_bad_lines, 3);
  EXPECT_TRUE(contains(summary.first_bad_lines[1], "a.txt:8: "));
  EXPECT_TRUE(contains(summary.first_bad_lines[2], "b.jsonl:1: "));
  EXPECT_EQ(texts_of(TokenDataset::open(o.output, kTrainSplit)),
            (Texts{"a", std::string(1000, 'y'), "b"}));
}

TEST_F(PrepareTest, HeldOutDocumentsAreTheOthersAndTheShareIsMet) {
  constexpr int kCount = 20000;
  const fs::path input = put("a.jsonl", json_lines(kCount));
  PrepareOptions o = options({input});
  o.held_out_share = 0.1;
  const auto split = [&](uint64_t seed) {
    o.seed = seed;
    prepare_dataset(byte_encoder(), o);
    return std::pair(texts_of(TokenDataset::open(o.output, kTrainSplit, true)),
                     texts_of(TokenDataset::open(o.output, kHeldOutSplit, true)));
  };
  const auto [train, held_out] = split(1);
  std::set<std::string> all(train.begin(), train.end());
  all.insert(held_out.begin(), held_out.end());
  EXPECT_EQ(train.size() + held_out.size(), size_t{kCount});
  EXPECT_EQ(all.size(), size_t{kCount}) << "no document is in both";
  // Binomial: mean 2000, standard deviation sqrt(20000 * 0.1 * 0.9) = 42; five of them.
  EXPECT_NEAR(static_cast<double>(held_out.size()), 2000, 212);
  EXPECT_EQ(split(1).second, held_out);
  EXPECT_NE(split(2).second, held_out);
}

TEST_F(PrepareTest, ManyTinyDocuments) {
  constexpr int kCount = 100000;
  const PrepareSummary summary =
      prepare_dataset(byte_encoder(), options({put("a.jsonl.zst", zstd(json_lines(kCount, "")))}));
  EXPECT_EQ(summary.train.num_documents, kCount);
  const TokenDataset dataset = TokenDataset::open(dir_ / "out", kTrainSplit);
  for (const int64_t i : {0, 1, 31415, kCount - 1}) {
    std::string text;
    for (const int32_t token : dataset.tokens(i)) text += static_cast<char>(token);
    EXPECT_EQ(text, std::to_string(i) + '\0');
  }
}

TEST_F(PrepareTest, ATokenizersMistakeAndErrorAreNamed) {
  TextEncoder encoder = byte_encoder();
  const fs::path input = put("a.txt", "a\n<|endoftext|>\nb");
  encoder.encode = [](std::string_view text) {
    return std::vector<int32_t>{text == "b" ? 257 : 1};
  };
  EXPECT_TRUE(contains(error_of([&] { prepare_dataset(encoder, options({input})); }),
                       "a.txt:3: the tokenizer gave id 257, expected 0 to 256"));
  encoder.encode = [](std::string_view) -> std::vector<int32_t> { throw Error("cannot split"); };
  EXPECT_TRUE(contains(error_of([&] { prepare_dataset(encoder, options({input})); }),
                       "a.txt:1: cannot split"));
  encoder.encode = [](std::string_view) -> std::vector<int32_t> { throw std::bad_alloc(); };
  EXPECT_TRUE(contains(error_of([&] { prepare_dataset(encoder, options({input})); }),
                       "a.txt:1: no memory to tokenize a document"));
}

TEST_F(PrepareTest, BadOptionsAreNamed) {
  const fs::path input = put("c/a.txt", "a");
  const auto error_with = [&](auto change) {
    PrepareOptions o = options({input});
    change(o);
    return error_of([&] { prepare_dataset(byte_encoder(), o); });
  };
  EXPECT_TRUE(contains(error_with([](auto& o) { o.held_out_share = 1; }), "held-out share"));
  EXPECT_TRUE(contains(error_with([](auto& o) { o.held_out_share = NAN; }), "held-out share"));
  EXPECT_TRUE(contains(error_with([](auto& o) { o.shard_tokens = 0; }), "tokens per shard"));
  EXPECT_TRUE(contains(error_with([](auto& o) { o.max_document_bytes = int64_t{1} << 32; }),
                       "largest document: expected 1 to 4294967231"));
  EXPECT_TRUE(contains(error_with([](auto& o) { o.num_threads = -1; }), "threads"));
  EXPECT_TRUE(contains(error_with([&](auto& o) {
                         o.inputs = {dir_ / "c"};
                         o.output = dir_ / "c/deep/out";
                       }),
                       "the output lies inside the input"));
  fs::create_directories(dir_ / "out");
  EXPECT_TRUE(contains(error_with([](auto& o) { o.replace = false; }), "exists already"));
}

TEST_F(PrepareTest, AFullDiskIsAnErrorAndLeavesTheOldDataset) {
  const fs::path input = put("a.txt", std::string(100000, 'x'));
  prepare_dataset(byte_encoder(), options({put("b.txt", "old")}));
  std::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const rlimit tight{50000, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &tight);
  const std::string message = prepare_error({input});
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT_TRUE(contains(message, "train-00000.bin: cannot be written: File too large"));
  EXPECT_EQ(texts_of(TokenDataset::open(dir_ / "out", kTrainSplit, true)), (Texts{"old"}));
  EXPECT_EQ(names(), (Texts{"a.txt", "b.txt", "out"}));
}

TEST_F(PrepareTest, StopEndsTheRunWithoutOutput) {
  const fs::path input = put("a.jsonl", json_lines(50000));
  std::atomic<bool> stop = false;
  TextEncoder encoder = byte_encoder();
  encoder.encode = [&](std::string_view) {
    stop = true;
    return std::vector<int32_t>{1};
  };
  PrepareOptions o = options({input});
  o.stop = &stop;
  EXPECT_TRUE(contains(error_of([&] { prepare_dataset(encoder, o); }), "stopped before the end"));
  EXPECT_EQ(names(), (Texts{"a.jsonl"}));
}

/// Runs prepare in a child process and kills it once the first shard is on its way.
void kill_during_prepare(const PrepareOptions& options) {
  const pid_t child = ::fork();
  if (child == 0) {
    TextEncoder encoder = byte_encoder();
    encoder.encode = [](std::string_view) {
      ::usleep(100);
      return std::vector<int32_t>(50, 1);
    };
    try {
      prepare_dataset(encoder, options);
    } catch (const std::exception&) {
      ::_exit(2);
    }
    ::_exit(0);
  }
  ASSERT_GT(child, 0);
  const fs::path shard =
      options.output.parent_path() / (".out.tmp." + std::to_string(child)) / "train-00000.bin";
  for (int i = 0; i < 3000 && !fs::exists(shard); ++i) ::usleep(10000);
  EXPECT_TRUE(fs::exists(shard)) << "the child did not get as far as writing";
  ::kill(child, SIGKILL);
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
}

TEST_F(PrepareTest, AKilledRunLeavesNothingOrTheOldDataset) {
  PrepareOptions o = options({put("a.jsonl", json_lines(200000))});
  o.shard_tokens = 1000;
  kill_during_prepare(o);
  EXPECT_FALSE(fs::exists(o.output));
  prepare_dataset(byte_encoder(), options({put("b.txt", "old")}));
  kill_during_prepare(o);
  EXPECT_EQ(texts_of(TokenDataset::open(o.output, kTrainSplit, true)), (Texts{"old"}));
  PrepareOptions again = options({dir_ / "b.txt"});
  EXPECT_EQ(prepare_dataset(byte_encoder(), again).train.num_documents, 1);
  for (const auto& entry : fs::directory_iterator(o.output.parent_path())) {
    EXPECT_EQ(entry.path().filename().string().find(".tmp."), std::string::npos) << entry.path();
  }
}

}  // namespace
}  // namespace longgen
