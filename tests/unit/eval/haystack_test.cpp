#include "longgen/eval/haystack.h"

#include "longgen/data/sentences.h"
#include "longgen/tokenizer/utf8.h"
#include "test_support.h"

namespace longgen {
namespace {

using Sentences = std::vector<std::string>;

Sentences sentences_of(const std::string& text) {
  const Haystack haystack = Haystack::from_text(text, "t.txt");
  Sentences sentences;
  for (int64_t i = 0; i < haystack.num_sentences(); ++i) {
    sentences.emplace_back(haystack.sentence(i));
  }
  return sentences;
}

TEST(Haystack, NoiseIsTheRefrainALineEach) {
  const Haystack noise = Haystack::noise();
  EXPECT_EQ(noise.num_sentences(), 1);
  EXPECT_EQ(noise.sentence(0),
            "The grass is green. The sky is blue. The sun is yellow. Here we go. There and back "
            "again.");
  EXPECT_EQ(noise.separator(), "\n");
  EXPECT_EQ(noise.kind(), "noise");
}

TEST(Haystack, FindsSentences) {
  EXPECT_EQ(sentences_of("One. Two!  Three?\nFour goes\n on. and on."),
            (Sentences{"One.", "Two!", "Three?", "Four goes on. and on."}));
  EXPECT_EQ(sentences_of("“Go,” he said. “Why?” “Because.” (So.) It was 3.5 miles."),
            (Sentences{"“Go,” he said.", "“Why?”", "“Because.”", "(So.)", "It was 3.5 miles."}));
  EXPECT_EQ(sentences_of("Mr. Hudson met J. S. Mill. So did I. They left."),
            (Sentences{"Mr. Hudson met J. S. Mill.", "So did I.", "They left."}));
  EXPECT_EQ(sentences_of("你好。再见！好"), (Sentences{"你好。", "再见！", "好"}));
}

TEST(Haystack, BlankLinesAndDocumentEndsEndSentences) {
  EXPECT_EQ(
      sentences_of("CHAPTER I\n\nIt began\nhere\n<|endoftext|>\nNext\r\n<|endoftext|>\r\nLast"),
      (Sentences{"CHAPTER I", "It began here", "Next", "Last"}));
  // Only a line of its own is a separator.
  EXPECT_EQ(sentences_of("a <|endoftext|> b"), (Sentences{"a <|endoftext|> b"}));
}

TEST(Haystack, CutsWhatNeverEnds) {
  std::string words;
  for (int i = 0; i < 5000; ++i) words += "word ";
  const std::string solid(7777, 'x');
  std::string wide;
  for (int i = 0; i < 3000; ++i) wide += "é";
  for (const std::string& text : {words, solid, wide, std::string(5000, ')'), "." + solid}) {
    std::string joined;
    for (const std::string& sentence : sentences_of(text)) {
      EXPECT_LE(sentence.size(), static_cast<size_t>(kMaxSentenceBytes));
      EXPECT_TRUE(is_valid_utf8(sentence));
      EXPECT_FALSE(sentence.empty());
      joined += sentence;
    }
    std::erase(joined, ' ');
    std::string expected = text;
    std::erase(expected, ' ');
    EXPECT_EQ(joined, expected);  // nothing is lost
  }
}

TEST(Haystack, RepairsInvalidUtf8) {
  EXPECT_EQ(sentences_of("a\xFF"
                         "b. C"),
            (Sentences{"a\xEF\xBF\xBD"
                       "b.",
                       "C"}));
}

TEST(Haystack, RefusesATextWithoutWords) {
  for (const std::string text : {"", " \n\t\r\n ", "<|endoftext|>\n<|endoftext|>"}) {
    EXPECT_TRUE(fails_with([&] { Haystack::from_text(text, "empty.txt"); },
                           "empty.txt: expected a text to hide the needle in, found no words"));
  }
}

}  // namespace
}  // namespace longgen
