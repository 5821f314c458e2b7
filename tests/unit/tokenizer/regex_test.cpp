#include "longgen/tokenizer/regex.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>

#include "longgen/tokenizer/regex_dialect.h"
#include "longgen/tokenizer/splitters.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {
namespace {

std::vector<size_t> ends_by_regex(const Regex& regex, const std::string& text,
                                  RegexScratch& scratch) {
  std::vector<size_t> ends;
  for_each_stretch(regex, text, scratch, [&](size_t, size_t end, bool) { ends.push_back(end); });
  return ends;
}

std::vector<size_t> ends_by_hand(Splitter splitter, const std::string& text) {
  std::vector<size_t> ends;
  for (size_t i = 0; i < text.size(); ends.push_back(i)) i = splitter(text, i);
  return ends;
}

TEST(SplittersTest, FindTheSameWordsAsTheRegexes) {
  std::mt19937 random(7);
  RegexScratch scratch;
  for (const std::string_view pattern : {kGpt2Pattern, kLlama3Pattern, kQwen2Pattern}) {
    const Regex regex = Regex::pattern(pattern, "test");
    const Splitter splitter = find_splitter(pattern);
    ASSERT_NE(splitter, nullptr);
    for (int round = 0; round < 30000; ++round) {
      const std::string text = random_text(random, 1 + static_cast<int>(random() % 24));
      ASSERT_EQ(ends_by_hand(splitter, text), ends_by_regex(regex, text, scratch))
          << text << " | " << pattern;
    }
  }
  EXPECT_EQ(find_splitter("x"), nullptr);
}

TEST(SplittersTest, EveryCharacterIsOfTheSameClass) {
  RegexScratch scratch;
  const Regex regex = Regex::pattern(kLlama3Pattern, "test");
  const Splitter splitter = find_splitter(kLlama3Pattern);
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text = "!";
    append_utf8(c, text);
    text += "a1 ";
    ASSERT_EQ(ends_by_hand(splitter, text), ends_by_regex(regex, text, scratch))
        << "U+" << std::hex << c;
  }
}

TEST(RegexTest, WhatPcre2ReadsDifferentlyIsRefused) {
  const char* const refused[] = {
      "[[:alpha:]]", "[a&&b]", "[a[b]]", "(?m).",  "(?<n>a)", "(?P<n>a)", "\\h",  "\\K",
      "\\bx",        "a{,3}",  "a{2}+",  "a{2}?",  "a{",      "(*UTF)",   "\\Qa", "[^\\P{L}]",
      "[\\W]",       "[]a]",   "\\",     "\\p{C}", "\\1",     "\\u12",    "\\x",  "[a"};
  for (const char* pattern : refused) {
    const std::string message = error_of([&] { to_pcre2(pattern, "t.json: field x"); });
    EXPECT_TRUE(message.starts_with("t.json: field x: ")) << pattern << " -> " << message;
  }
  EXPECT_NE(error_of([] { Regex::pattern("(a", "f"); }).find("expected a valid regex"),
            std::string::npos);
  EXPECT_NE(error_of([] { Regex::pattern("\\p{Klingon}", "f"); }).find("expected a valid regex"),
            std::string::npos);
}

TEST(RegexTest, CatastrophicBacktrackingIsAnError) {
  RegexScratch scratch;
  const Regex regex = Regex::pattern("(x+x+)+[yz]", "t.json: field pattern");
  const auto start = std::chrono::steady_clock::now();
  const std::string message = error_of([&] { regex.find(std::string(3000, 'x'), 0, scratch); });
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  EXPECT_NE(message.find("t.json: field pattern: the regex could not be run"), std::string::npos)
      << message;
  EXPECT_EQ(Regex::pattern("b", "f").find("ab", 0, scratch)->begin, 1u)
      << "the scratch is still good";
}

TEST(RegexTest, LongRunsDoNotOverflowAnything) {
  RegexScratch scratch;
  const Regex regex = Regex::pattern(kLlama3Pattern, "test");
  const Regex groups = Regex::pattern("(?:a|b)+", "test");
  const std::string spaces(4 << 20, ' ');
  EXPECT_EQ(regex.find(spaces + "x", 0, scratch)->end, spaces.size() - 1);
  EXPECT_EQ(groups.find(std::string(1 << 20, 'b'), 0, scratch)->end, size_t{1} << 20);
}

}  // namespace
}  // namespace longgen
