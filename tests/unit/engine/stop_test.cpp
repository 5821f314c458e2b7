#include "longgen/engine/stop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "longgen/tokenizer/utf8.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

struct Cut {
  std::string text;
  bool found = false;
  bool operator==(const Cut&) const = default;
};

/// By definition: the stop string that ends first, the longest of those.
Cut cut_by_definition(const std::string& text, const std::vector<std::string>& strings) {
  for (size_t end = 1; end <= text.size(); ++end) {
    size_t longest = 0;
    for (const std::string& string : strings) {
      if (std::string_view(text).substr(0, end).ends_with(string)) {
        longest = std::max(longest, string.size());
      }
    }
    if (longest > 0) return {text.substr(0, end - longest), true};
  }
  return {text, false};
}

/// The longest end of the text that is the start of a stop string.
size_t may_become_stop(const std::string& text, const std::vector<std::string>& strings) {
  size_t longest = 0;
  for (const std::string& string : strings) {
    for (size_t n = 1; n <= std::min(string.size() - 1, text.size()); ++n) {
      if (text.ends_with(string.substr(0, n))) longest = std::max(longest, n);
    }
  }
  return longest;
}

/// Pushes the parts; checks after each that exactly the uncertain end is held back.
Cut cut_in_parts(const std::vector<std::string>& parts, const std::vector<std::string>& strings) {
  StopStringFilter filter(strings);
  std::string pushed, released;
  for (const std::string& part : parts) {
    pushed += part;
    released += filter.push(part);
    if (filter.found()) {
      EXPECT_EQ(filter.finish(), "") << "nothing may follow a stop string";
      return {released, true};
    }
    EXPECT_EQ(released, pushed.substr(0, pushed.size() - may_become_stop(pushed, strings)));
  }
  return {released + filter.finish(), false};
}

/// Every way to divide a text of n bytes: bit i of `cuts` cuts after byte i.
std::vector<std::string> divided(const std::string& text, uint32_t cuts) {
  std::vector<std::string> parts = {""};
  for (size_t i = 0; i < text.size(); ++i) {
    parts.back() += text[i];
    if (cuts >> i & 1) parts.emplace_back();
  }
  return parts;
}

TEST(StopStringTest, EveryWayToDivideTheText) {
  const std::vector<std::vector<std::string>> string_sets = {
      {"STOP"},           {"ab", "abc"}, {"abc", "b"}, {"aab"},  {"aa"},          {"abab"},
      {"c", "bc", "abc"}, {"\n\n"},      {"é"},        {"日本"}, {"abcd", "bce"}, {}};
  const std::vector<std::string> texts = {"one STOP two", "xSSTOSTOP", "abcabd",   "aaaab",
                                          "ababab",       "no stop",   "a\n\nb\n", "aèbéc",
                                          "日日本x",      "abce"};
  for (const auto& strings : string_sets) {
    for (const std::string& text : texts) {
      const Cut expected = cut_by_definition(text, strings);
      for (uint32_t cuts = 0; cuts < 1u << text.size(); ++cuts) {
        ASSERT_EQ(cut_in_parts(divided(text, cuts), strings), expected)
            << text << ", cuts " << cuts << ", first string "
            << (strings.empty() ? "none" : strings[0]);
      }
    }
  }
}

std::ostream& operator<<(std::ostream& out, const Cut& cut) {
  return out << '"' << cut.text << "\", " << (cut.found ? "found" : "not found");
}

TEST(StopStringTest, RandomTextsOfTwoLetters) {
  std::mt19937 random(3);
  const auto text_of = [&](size_t length) {
    std::string text(length, 'a');
    for (char& c : text) c = static_cast<char>('a' + random() % 2);
    return text;
  };
  int num_found = 0;
  for (int round = 0; round < 3000; ++round) {
    std::vector<std::string> strings;
    for (size_t i = random() % 4; i > 0; --i) strings.push_back(text_of(1 + random() % 9));
    const std::string text = text_of(random() % 60);
    std::vector<std::string> parts = {""};
    for (const char c : text) {
      if (random() % 3 == 0) parts.emplace_back();
      parts.back() += c;
    }
    const Cut expected = cut_by_definition(text, strings);
    ASSERT_EQ(cut_in_parts(parts, strings), expected) << text;
    num_found += expected.found;
  }
  EXPECT_GT(num_found, 300);
  EXPECT_LT(num_found, 2700);
}

TEST(StopStringTest, WholeCharactersStayWhole) {
  const std::vector<std::string> strings = {"日本語", "é!", "👍👍"};
  const std::vector<std::string> characters = {"日", "本", "é", "è", "👍", "👎", "x"};
  std::mt19937 random(4);
  for (int round = 0; round < 300; ++round) {
    StopStringFilter filter(strings);
    for (int i = 0; i < 30 && !filter.found(); ++i) {
      EXPECT_TRUE(is_valid_utf8(filter.push(characters[random() % characters.size()])));
    }
    EXPECT_TRUE(is_valid_utf8(filter.finish()));
  }
}

TEST(StopStringTest, LongStringsAndRepetitiveTextStayFast) {
  // Compared at every place anew, this would be 10^12 steps.
  const std::string string = std::string(1000000, 'a') + "b";
  StopStringFilter filter({string});
  std::string released;
  for (int i = 0; i < 2000; ++i) released += filter.push(std::string(1000, 'a'));
  EXPECT_EQ(released.size(), 1000000u);
  released += filter.push("b");
  EXPECT_TRUE(filter.found());
  EXPECT_EQ(released, std::string(1000000, 'a'));
}

TEST(StopCriteriaTest, MistakesAreNamed) {
  const auto error = [](StopCriteria criteria) { return error_of([&] { criteria.check(); }); };
  EXPECT_EQ(error({}), "");
  EXPECT_EQ(error({.max_tokens = -1}), "[generate] max_tokens: expected a count, found -1.");
  EXPECT_EQ(error({.tokens = {3, -2}}),
            "[generate] stop token: expected an id of at least 0, found -2.");
  EXPECT_EQ(error({.strings = {"a", ""}}),
            "[generate] stop string: expected text, found an empty one.");
  EXPECT_EQ(error({.strings = {"a\xFFz"}}),
            "[generate] stop string: expected UTF-8, found \"a\xEF\xBF\xBDz\".");
}

TEST(StopCriteriaTest, ReasonsHaveNames) {
  EXPECT_STREQ(stop_reason_name(StopReason::token), "stop token");
  EXPECT_STREQ(stop_reason_name(StopReason::string), "stop string");
  EXPECT_STREQ(stop_reason_name(StopReason::length), "length");
}

}  // namespace
}  // namespace longgen
