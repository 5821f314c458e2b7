#include <sys/stat.h>

#include "longgen/base/random.h"
#include "longgen/data/sources.h"
#include "test_support.h"

namespace longgen {
namespace {

using SourcesTest = DataTest;

TEST_F(SourcesTest, FoldersAreSearchedInNameOrderAndKindsComeFromEndings) {
  put("c/b.JSONL.gz", "1");
  put("c/a/z.txt", "22");
  put("c/d.ndjson", "");
  put("c/e.json.zst", "");
  put("c/notes.pdf", "");
  put("c/.hidden.txt", "");
  const std::vector<Source> sources = expand_inputs({dir_ / "c"});
  ASSERT_EQ(sources.size(), 4u);
  EXPECT_EQ(sources[0].path, dir_ / "c/a/z.txt");
  EXPECT_EQ(sources[0].format, SourceFormat::kText);
  EXPECT_EQ(sources[0].num_bytes, 2);
  EXPECT_EQ(sources[1].format, SourceFormat::kJsonLines);
  EXPECT_EQ(sources[1].compression, Compression::kGzip);
  EXPECT_EQ(sources[2].compression, Compression::kNone);
  EXPECT_EQ(sources[3].compression, Compression::kZstd);
}

TEST_F(SourcesTest, TheOrderOfTheInputsIsKept) {
  const fs::path b = put("b.txt", "b"), a = put("a.txt", "a");
  EXPECT_EQ(documents({b, a}), (Texts{"b", "a"}));
}

TEST_F(SourcesTest, WhatCannotBeACorpusIsNamed) {
  const fs::path a = put("c/a.txt", "a");
  EXPECT_TRUE(contains(prepare_error({dir_ / "none.txt"}), "none.txt: no such file or folder"));
  EXPECT_TRUE(contains(prepare_error({put("x.pdf", "")}),
                       "x.pdf: unknown kind of corpus file, expected .txt"));
  EXPECT_TRUE(contains(prepare_error({put("d/x.pdf", "").parent_path()}),
                       "d: no corpus file in this folder"));
  EXPECT_TRUE(contains(prepare_error({dir_ / "c", a}), "a.txt: this file comes twice"));
  EXPECT_TRUE(contains(prepare_error({}), "no input"));
  EXPECT_TRUE(contains(prepare_error({put("empty.txt", "")}), "no document with text"));
  ::mkfifo((dir_ / "pipe.txt").c_str(), 0600);
  EXPECT_TRUE(contains(prepare_error({dir_ / "pipe.txt"}), "pipe.txt: "));
}

TEST_F(SourcesTest, LinksAreFollowed) {
  put("far/deep/b.txt", "b");
  put("c/a.txt", "a");
  const fs::path lone = put("lone.txt", "z");
  fs::create_directory_symlink(dir_ / "far", dir_ / "c/link");
  fs::create_symlink(lone, dir_ / "c/z.txt");
  EXPECT_EQ(documents({dir_ / "c"}), (Texts{"a", "b", "z"}));
  fs::create_directory_symlink(dir_ / "c", dir_ / "all");
  EXPECT_EQ(documents({dir_ / "all"}), (Texts{"a", "b", "z"})) << "the folder itself is a link";
}

TEST_F(SourcesTest, LinksThatLeadNowhereOrBackAreErrors) {
  put("c/a.txt", "a");
  const auto with_link = [&](const fs::path& to) {
    fs::create_symlink(to, dir_ / "c/link");
    const std::string message = prepare_error({dir_ / "c"});
    fs::remove(dir_ / "c/link");
    return message;
  };
  const std::string link = (dir_ / "c/link").string(), folder = (dir_ / "c").string();
  EXPECT_EQ(with_link("gone.txt"),
            link + ": a link to gone.txt, which does not exist. Remove or repair it.");
  EXPECT_EQ(with_link(dir_ / "c"),
            link + ": this link leads back to " + folder + ", which holds it. Remove the link.");
  EXPECT_EQ(with_link("."),
            link + ": this link leads back to " + folder + ", which holds it. Remove the link.");
  EXPECT_TRUE(contains(with_link("link"), "c/link: cannot be examined: "));
  put("c/d/b.txt", "b");
  EXPECT_EQ(with_link("d"), link + ": is the folder " + folder +
                                "/d once more, whose documents would count double. Remove the "
                                "link.");
  fs::create_symlink("gone", dir_ / "c/.hidden");
  EXPECT_EQ(documents({dir_ / "c"}), (Texts{"a", "b"})) << "hidden links are left out too";
  fs::create_symlink("a.txt", dir_ / "c/again.txt");
  EXPECT_TRUE(contains(prepare_error({dir_ / "c"}), "this file comes twice"));
}

TEST_F(SourcesTest, AnOutputThatALinkLeadsToIsNoInput) {
  put("c/a.txt", "a");
  PrepareOptions o = options({dir_ / "c"});
  o.output = dir_ / "far/out";
  fs::create_directories(dir_ / "far");
  fs::create_directory_symlink(dir_ / "far", dir_ / "c/link");
  prepare_dataset(byte_encoder(), o);
  EXPECT_EQ(error_of([&] { prepare_dataset(byte_encoder(), o); }),
            (dir_ / "c/link/out/manifest.json").string() + ": lies inside the output " +
                o.output.string() + ", which a link in the input leads to. Choose another place " +
                "for the output.");
}

TEST_F(SourcesTest, AFolderThatCannotBeReadIsAnError) {
  if (::geteuid() == 0) GTEST_SKIP() << "root reads every folder";
  put("c/d/a.txt", "a");
  fs::permissions(dir_ / "c/d", fs::perms::none);
  const std::string message = prepare_error({dir_ / "c"});
  fs::permissions(dir_ / "c/d", fs::perms::owner_all);
  EXPECT_EQ(message, (dir_ / "c/d").string() + ": cannot be read: Permission denied.");
}

TEST_F(SourcesTest, WideTextAndPackedDataAreNamed) {
  const std::string text = "{\"text\": \"a\"}\n";
  const auto wide = [&](size_t bytes, bool little) {
    std::string out;
    for (const char c : text) {
      const std::string zeros(bytes - 1, '\0');
      out += little ? c + zeros : zeros + c;
    }
    return out;
  };
  for (const std::string& bytes : {"\xFF\xFE" + wide(2, true), "\xFE\xFF" + wide(2, false),
                                   wide(2, true), wide(2, false), wide(4, true), wide(4, false)}) {
    for (const char* name : {"a.jsonl", "a.txt"}) {
      EXPECT_EQ(prepare_error({put(name, bytes)}),
                (dir_ / name).string() +
                    ": expected UTF-8, found UTF-16 or UTF-32. Convert it: "
                    "iconv -f UTF-16 -t UTF-8.");
    }
  }
  EXPECT_TRUE(contains(prepare_error({put("a.txt.gz", gzip(wide(2, true)))}), "found UTF-16"));
  EXPECT_EQ(prepare_error({put("a.jsonl", gzip(text))}),
            (dir_ / "a.jsonl").string() +
                ": expected text, found gzip data. Unpack it, or where it "
                "is gzip or Zstandard name it .gz or .zst.");
  EXPECT_TRUE(contains(prepare_error({put("a.txt", zstd(text))}), "found Zstandard data"));
  EXPECT_TRUE(contains(prepare_error({put("a.txt", "\3757zXZ\0")}), "found xz data"));
  EXPECT_EQ(documents({put("b.txt", std::string("a\0b", 3))}), (Texts{std::string("a\0b", 3)}))
      << "a text may hold a zero";
}

TEST_F(SourcesTest, CorpusFilesOfAnotherPackingAreNotLeftOut) {
  put("c/a.txt", "a");
  put("c/b.jsonl.XZ", "");
  EXPECT_EQ(prepare_error({dir_ / "c"}), (dir_ / "c/b.jsonl.XZ").string() +
                                             ": longgen reads .zst and .gz, and not .xz. Unpack "
                                             "it, or pack it again as .zst.");
  fs::rename(dir_ / "c/b.jsonl.XZ", dir_ / "c/notes.xz");
  EXPECT_EQ(documents({dir_ / "c"}), (Texts{"a"}));
}

TEST_F(SourcesTest, TextDocumentsStandBetweenSeparatorLines) {
  const std::string text =
      "one\nmore\n<|endoftext|>\n\ntwo <|endoftext|> inside\n<|endoftext|>\n<|endoftext|>\n"
      " <|endoftext|>\n<|endoftext|>\nlast";
  const Texts expected = {"one\nmore", "\ntwo <|endoftext|> inside", " <|endoftext|>", "last"};
  EXPECT_EQ(documents({put("a.txt", text)}), expected);
  EXPECT_EQ(documents({put("a.txt", text + "\n")}), expected) << "a final newline is no difference";
  EXPECT_EQ(documents({put("a.txt", text + "\n<|endoftext|>")}), expected);
  EXPECT_EQ(documents({put("a.txt", text + "\n<|endoftext|>\n")}), expected);
}

TEST_F(SourcesTest, WindowsLineEndsSeparateToo) {
  EXPECT_EQ(documents({put("a.txt", "a\r\nb\r\n<|endoftext|>\r\nc\r\n<|endoftext|>\r")}),
            (Texts{"a\r\nb", "c"}));
  EXPECT_EQ(documents({put("a.jsonl", "{\"text\":\"a\"}\r\n\r\n{\"text\":\"b\"}\r\n")}),
            (Texts{"a", "b"}));
}

TEST_F(SourcesTest, AByteOrderMarkIsLeftOut) {
  const std::string mark = "\xEF\xBB\xBF";
  EXPECT_EQ(documents({put("a.txt", mark + "a\n"), put("b.jsonl", mark + "{\"text\":\"b\"}")}),
            (Texts{"a", "b"}));
}

TEST_F(SourcesTest, JsonEscapesAndOtherFieldsAreRead) {
  const std::string lines =
      "{\"id\": 1, \"text\": \"a\\n\\u00e9\\ud83d\\ude00\", \"meta\": {\"text\": 2}}\n   \n"
      "{\"text\":\"b\\u0000c\"}";
  EXPECT_EQ(documents({put("a.jsonl", lines)}),
            (Texts{"a\n\u00e9\U0001F600", std::string("b\0c", 3)}));
  PrepareOptions other = options({put("b.jsonl", "{\"text\": 1, \"content\": \"here\"}")});
  other.text_field = "content";
  prepare_dataset(byte_encoder(), other);
  EXPECT_EQ(texts_of(TokenDataset::open(dir_ / "out", kTrainSplit)), (Texts{"here"}));
}

// Lengths around the reader's buffer of 256 KiB and the batch of 1 MiB: pieces must join up.
TEST_F(SourcesTest, LinesAndSeparatorsMayLieAcrossBuffers) {
  std::string text;
  Texts expected;
  for (const size_t length :
       {262127u, 262128u, 262131u, 262144u, 262145u, 13u, 1048576u, 1048577u, 3000000u, 1u}) {
    expected.emplace_back(length, static_cast<char>('a' + expected.size()));
    text += expected.back() + "\n<|endoftext|>\n";
  }
  EXPECT_EQ(documents({put("a.txt", text)}), expected);
  EXPECT_EQ(documents({put("a.txt.gz", gzip(text))}), expected);
  EXPECT_EQ(documents({put("a.txt.zst", zstd(text))}), expected);
}

/// The documented cutting of a text file, on the whole text at once.
Texts cut_slowly(std::string text) {
  Texts documents(1);
  if (!text.empty() && text.back() != '\n') text += '\n';
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at) + 1;
    const std::string line = text.substr(at, end - at);
    if (line == "<|endoftext|>\n" || line == "<|endoftext|>\r\n") {
      documents.emplace_back();
    } else {
      documents.back() += line;
    }
    at = end;
  }
  for (std::string& document : documents) {
    if (document.ends_with('\n')) document.pop_back();
    if (document.ends_with('\r')) document.pop_back();
  }
  std::erase(documents, "");
  return documents;
}

TEST_F(SourcesTest, RandomTextsAreCutAsDocumented) {
  const std::string pieces[] = {"\n", "\n", "\r\n", "a", "<|endoftext|>", "<|endoftext|>\n", "\nb"};
  RandomStream random(17);
  for (int round = 0; round < 300; ++round) {
    std::string text = "x\n<|endoftext|>\n";  // an empty corpus would be an error
    for (uint64_t left = random.below(20); left > 0; --left) text += pieces[random.below(7)];
    EXPECT_EQ(documents({put("a.txt", text)}), cut_slowly(text)) << text;
  }
}

TEST_F(SourcesTest, ChangedBytesNeverLeaveHalfADataset) {
  std::string lines;
  for (int i = 0; i < 40; ++i)
    lines += "{\"text\": \"\\u00e9 " + std::to_string(i) + "\", \"b\": [1]}\n";
  const std::pair<std::string, std::string> files[] = {
      {"a.jsonl", lines}, {"a.jsonl.gz", gzip(lines)}, {"a.jsonl.zst", zstd(lines)}};
  RandomStream random(23);
  int num_errors = 0;
  for (int round = 0; round < 300; ++round) {
    auto [name, bytes] = files[round % 3];
    for (uint64_t left = 1 + random.below(3); left > 0; --left) {
      bytes[random.below(bytes.size())] = static_cast<char>(random.next());
    }
    const std::string message = prepare_error({put(name, bytes)});
    num_errors += !message.empty();
    EXPECT_EQ(fs::exists(dir_ / "out"), message.empty()) << message;
    if (message.empty()) {
      TokenDataset::open(dir_ / "out", kTrainSplit, true);
    } else {
      EXPECT_TRUE(contains(message, name));
    }
    fs::remove_all(dir_ / "out");
  }
  EXPECT_GT(num_errors, 200) << "the archives have checksums";
}

TEST_F(SourcesTest, SeveralMembersAndFramesAreOneFile) {
  const std::string a = "one\n<|endo", b = "ftext|>\ntwo\n";
  EXPECT_EQ(documents({put("a.txt.gz", gzip(a) + gzip("") + gzip(b))}), (Texts{"one", "two"}));
  const std::string skippable("\x50\x2A\x4D\x18\x03\x00\x00\x00xyz", 11);
  EXPECT_EQ(documents({put("a.txt.zst", zstd(a) + skippable + zstd("") + zstd(b))}),
            (Texts{"one", "two"}));
}

TEST_F(SourcesTest, LongWindowsAreRead) {
  std::string text(1 << 20, 'x');
  for (size_t i = 0; i < text.size(); i += 7) text[i] = static_cast<char>('a' + i % 23);
  for (const int window_log : {27, 30}) {
    EXPECT_EQ(documents({put("a.txt.zst", zstd(text, window_log))}), (Texts{text}));
  }
}

TEST_F(SourcesTest, EveryCutOfACompressedFileIsAnError) {
  std::string text;
  for (int i = 0; i < 300; ++i) text += "line " + std::to_string(i * i) + "\n<|endoftext|>\n";
  for (const std::string& ending : {std::string("gz"), std::string("zst")}) {
    const std::string whole = ending == "gz" ? gzip(text) : zstd(text);
    for (size_t keep = 0; keep < whole.size(); keep += keep < 40 ? 1 : 97) {
      const std::string message = prepare_error({put("a.txt." + ending, whole.substr(0, keep))});
      EXPECT_TRUE(contains(message, "a.txt." + ending)) << keep;
      EXPECT_TRUE(contains(message, "end early after " + std::to_string(keep) + " bytes")) << keep;
    }
    EXPECT_EQ(names(), (Texts{"a.txt." + ending})) << "nothing may be left behind";
    fs::remove(dir_ / ("a.txt." + ending));
  }
}

TEST_F(SourcesTest, DamagedCompressedFilesAreErrors) {
  const std::string text(5000, 'x');
  for (const std::string& ending : {std::string("gz"), std::string("zst")}) {
    std::string whole = ending == "gz" ? gzip(text) : zstd(text);
    EXPECT_TRUE(contains(prepare_error({put("a.txt." + ending, whole + "garbage")}), "damaged"));
    EXPECT_TRUE(contains(prepare_error({put("a.txt." + ending, "no archive")}), "damaged"));
    whole[whole.size() - (ending == "gz" ? 6 : 2)] ^= 1;  // the checksum
    EXPECT_TRUE(contains(prepare_error({put("a.txt." + ending, whole)}), "check"));
  }
}

}  // namespace
}  // namespace longgen
