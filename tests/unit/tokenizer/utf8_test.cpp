#include "longgen/tokenizer/utf8.h"

#include <gtest/gtest.h>

#include <random>

#include "longgen/tokenizer/unicode.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {
namespace {

constexpr const char* kBad = "\xEF\xBF\xBD";  // U+FFFD

TEST(Utf8Test, EachMaximalSubpartBecomesOneReplacement) {
  const std::string bad = kBad;
  // Expected values: bytes.decode("utf-8", errors="replace") of Python 3.11.
  const std::pair<std::string, std::string> cases[] = {
      {"a\xFFz", "a" + bad + "z"},
      {"\xE2\x82z", bad + "z"},                     // cut short: one
      {"\xE2\x28\xA1", bad + "(" + bad},            // bad second byte
      {"\xF0\x9F\x98", bad},                        // three of four bytes: one
      {"\xC0\xAF", bad + bad},                      // overlong
      {"\xE0\x80\xAF", bad + bad + bad},            // overlong, three bytes
      {"\xED\xA0\x80", bad + bad + bad},            // surrogate
      {"\xF4\x90\x80\x80", bad + bad + bad + bad},  // above U+10FFFF
      {"\xF0\x9F\xF0\x9F\x98\x80", bad + "\xF0\x9F\x98\x80"},
      {"\x80\xBF", bad + bad},
      {std::string("a\0b\xC3", 4), std::string("a\0b", 3) + bad},
      {"plain ascii, then \xE6\x97", "plain ascii, then " + bad},
  };
  for (const auto& [bytes, expected] : cases) {
    EXPECT_EQ(replace_invalid_utf8(bytes), expected);
    EXPECT_FALSE(is_valid_utf8(bytes));
    EXPECT_TRUE(is_valid_utf8(expected));
  }
}

TEST(Utf8Test, UnfinishedBytesAreThoseThatMayStillBecomeACharacter) {
  const std::pair<std::string, size_t> cases[] = {{"", 0},
                                                  {"abc", 0},
                                                  {"a\xC3", 1},
                                                  {"a\xE2\x82", 2},
                                                  {"\xF0\x9F\x98", 3},
                                                  {"\xC3\xA9", 0},
                                                  {"\xE2\x82\xAC", 0},
                                                  {"\xE0\x80", 0},
                                                  {"\xFF", 0},
                                                  {"\x80\x80\x80", 0},
                                                  {"\xED\xA0", 0},
                                                  {"\xF4\x8F", 2},
                                                  {"\xF4\x90", 0},
                                                  {"\xE2\x82\xAC\xE2", 1},
                                                  {"\xC0", 0}};
  for (const auto& [bytes, expected] : cases)
    EXPECT_EQ(unfinished_utf8_bytes(bytes), expected) << bytes;
}

TEST(Utf8Test, EveryCodePointSurvives) {
  for (uint32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    append_utf8(c, text);
    ASSERT_EQ(decode_utf8(text, 0).code_point, c);
    ASSERT_EQ(decode_valid_utf8(text.data()).length, text.size());
    ASSERT_TRUE(is_valid_utf8(text));
    ASSERT_EQ(previous_utf8("x" + text, text.size() + 1), 1u);
  }
}

TEST(UnicodeTest, NfcOfPartsIsNfcOfTheWhole) {
  const std::pair<std::string, std::string> cases[] = {
      {"e\xCC\x81", "é"},  // U+0301 composes
      {"plain", "plain"},
      {"\xE2\x84\xAB", "Å"},                                     // Angstrom sign
      {"\xE1\x84\x80\xE1\x85\xA1\xE1\x86\xA8 x", "각 x"},        // jamo
      {"a\xCC\xA3\xCC\x82 b", "\xE1\xBA\xAD b"},                 // two marks
      {"q\xCC\x82\xCC\xA3", "q\xCC\xA3\xCC\x82"},                // reordered, nothing composes
      {"\xE0\xA4\x95\xE0\xA4\xBC", "\xE0\xA4\x95\xE0\xA4\xBC"},  // excluded from composition
  };
  for (const auto& [text, expected] : cases) {
    std::string out;
    EXPECT_EQ(normalize_nfc_if_needed(text, out) ? out : text, expected) << text;
  }
  EXPECT_EQ(char_class(0x31350), CharClass::letter) << "ideograph of Unicode 15";
  EXPECT_EQ(char_class(0x11BF0), CharClass::number) << "digit of Unicode 16";
  EXPECT_EQ(char_class(0x180E), CharClass::other) << "no white space since Unicode 6.3";
}

}  // namespace
}  // namespace longgen
