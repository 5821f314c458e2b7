#include "longgen/data/sentences.h"

#include <gtest/gtest.h>

#include <string>

namespace longgen {
namespace {

using Sentences = std::vector<std::string>;

Sentences sentences_of(std::string_view text) {
  Sentences sentences;
  for (const ByteRange& range : find_sentences(text)) {
    sentences.emplace_back(text.substr(range.begin, range.end - range.begin));
  }
  return sentences;
}

TEST(Sentences, LinesOfAParagraphAreOneTextAndBlankLinesEndIt) {
  EXPECT_EQ(sentences_of("  He came\nat ten.  Mr. Hale\r\nleft. “So?”\n\nNo stop here\n \nLast\n"),
            (Sentences{"He came\nat ten.", "Mr. Hale\r\nleft.", "“So?”", "No stop here", "Last"}));
}

TEST(Sentences, ChineseNeedsNoSpaces) {
  EXPECT_EQ(sentences_of("他来了。她走了！好"), (Sentences{"他来了。", "她走了！", "好"}));
}

TEST(Sentences, NothingIsLostAndNoneIsTooLong) {
  EXPECT_TRUE(find_sentences("").empty());
  EXPECT_TRUE(find_sentences(" \n\n\t").empty());
  for (const std::string& word : {std::string("字"), std::string("a b"), std::string("x")}) {
    std::string text;
    for (int i = 0; i < 3000; ++i) text += word;
    std::string kept;
    for (const std::string& sentence : sentences_of(text)) {
      EXPECT_LE(sentence.size(), static_cast<size_t>(kMaxSentenceBytes));
      kept += sentence;
    }
    std::erase(text, ' ');
    std::erase(kept, ' ');
    EXPECT_EQ(kept, text);
  }
}

}  // namespace
}  // namespace longgen
