// The tokens that a grammar allows, and the grammars that are kept.
#include "longgen/grammar/grammar.h"

#include <gtest/gtest.h>

#include "grammar_tools.h"
#include "longgen/base/error.h"
#include "longgen/grammar/grammar_store.h"

namespace longgen {
namespace {

using grammar_test::is_allowed;
using grammar_test::kFirstLong;
using grammar_test::kSpecial;
using grammar_test::kStop;

constexpr const char* kFlag =
    R"({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"]})";

TEST(GrammarTest, AllowsTokensThatFitWhollyAndTheEndOnlyWhereItIsComplete) {
  GrammarMatcher matcher = grammar_test::matcher_of(kFlag);
  EXPECT_TRUE(is_allowed(matcher, kFirstLong));  // {"
  EXPECT_TRUE(is_allowed(matcher, '{'));
  EXPECT_FALSE(is_allowed(matcher, 'a'));
  EXPECT_FALSE(is_allowed(matcher, kStop));
  EXPECT_FALSE(is_allowed(matcher, kSpecial));
  for (const int32_t token :
       {kFirstLong, static_cast<int32_t>('a'), kFirstLong + 1, kFirstLong + 2}) {
    EXPECT_FALSE(is_allowed(matcher, kStop));
    matcher.accept(token);  // {"  a  ":  true
  }
  EXPECT_THROW(matcher.accept('x'), Error);
  matcher.accept('}');
  EXPECT_TRUE(is_allowed(matcher, kStop));
  EXPECT_FALSE(is_allowed(matcher, ' '));
  EXPECT_FALSE(matcher.has_stopped());
  matcher.accept(kStop);
  EXPECT_TRUE(matcher.has_stopped());
}

TEST(GrammarTest, WhiteSpaceComesToAnEnd) {
  GrammarMatcher matcher = grammar_test::matcher_of(kFlag);
  matcher.accept('{');
  int64_t num_spaces = 0;
  while (is_allowed(matcher, '\n')) {
    matcher.accept('\n');
    ASSERT_LE(++num_spaces, GrammarMatcher::kMostSpaces);
  }
  EXPECT_EQ(num_spaces, GrammarMatcher::kMostSpaces);
  EXPECT_FALSE(is_allowed(matcher, kFirstLong + 3));  // begins with white space
  EXPECT_TRUE(is_allowed(matcher, '"'));
}

TEST(GrammarTest, WhiteSpaceInStringsHasNoEnd) {
  GrammarMatcher matcher = grammar_test::matcher_of(R"({"type": "string"})");
  matcher.accept('"');
  for (int64_t i = 0; i < 2 * GrammarMatcher::kMostSpaces; ++i) matcher.accept(' ');
  for (const char c : std::string("\\\" \"")) matcher.accept(c);
  EXPECT_TRUE(is_allowed(matcher, kStop));
}

TEST(GrammarTest, BytesMakeCharacters) {
  GrammarMatcher matcher = grammar_test::matcher_of(R"({"type": "string"})");
  matcher.accept('"');
  for (const int32_t byte : {0x80, 0xC0, 0xC1, 0xF5, 0xFF}) EXPECT_FALSE(is_allowed(matcher, byte));
  matcher.accept(0xED);
  EXPECT_FALSE(is_allowed(matcher, 0xA0)) << "half of a pair";
  EXPECT_FALSE(is_allowed(matcher, 'a'));
  matcher.accept(0x9F);
  matcher.accept(0xBF);
  matcher.accept(0xF4);
  EXPECT_FALSE(is_allowed(matcher, 0x90)) << "beyond the last character";
  for (const int32_t byte : {0x8F, 0xBF, 0xBF, static_cast<int>('"')}) matcher.accept(byte);
  EXPECT_TRUE(is_allowed(matcher, kStop));
}

TEST(GrammarTest, StopTokensAreTokens) {
  const auto grammar = Grammar::compile(grammar_test::tokens(), "root ::= \"a\"");
  EXPECT_THROW(GrammarMatcher(grammar, {}), Error);
  EXPECT_THROW(GrammarMatcher(grammar, {-1, 264}), Error);
  GrammarMatcher matcher(grammar, {1 << 30, kStop});
  matcher.accept('a');
  EXPECT_TRUE(is_allowed(matcher, kStop));
}

TEST(GrammarTest, WhatIsNoGrammarIsRefused) {
  EXPECT_THROW(grammar_test::matcher_of_ebnf("root ::= other"), Error);
  EXPECT_THROW(grammar_test::matcher_of_ebnf("root ::= \"a"), Error);
}

TEST(GrammarStoreTest, KeepsWhatWasUsedLast) {
  int num_reads = 0;
  const auto read = [&] {
    ++num_reads;
    return grammar_test::token_bytes();
  };
  GrammarStore store(read);
  const auto first = store.compile("root ::= \"a\"");
  EXPECT_EQ(store.compile("root ::= \"a\""), first);
  EXPECT_EQ(store.find("root ::= \"a\""), first);
  EXPECT_EQ(store.find("root ::= \"b\""), nullptr);
  EXPECT_EQ(num_reads, 1);
  GrammarStore small(read, /*most_bytes=*/1);
  EXPECT_NE(small.compile("root ::= \"a\""), nullptr);  // for whom it was made
  EXPECT_EQ(small.find("root ::= \"a\""), nullptr);
}

}  // namespace
}  // namespace longgen
