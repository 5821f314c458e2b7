#include "longgen/engine/text_stream.h"

#include <gtest/gtest.h>

#include <random>

#include "longgen/tokenizer/utf8.h"
#include "tests/unit/tokenizer/test_tokenizers.h"

namespace longgen {
namespace {

constexpr int32_t kEnd = 300;  // <|end|> of byte_level_json()

using Ids = std::vector<int32_t>;

/// Ids of single bytes: byte_level_json() gives byte b the id b.
Ids byte_ids(const std::string& text) {
  Ids ids;
  for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
  return ids;
}

struct Streamed {
  std::string text;
  std::optional<StopReason> reason;
  int64_t num_tokens = 0;
};

/// Pushes until the stream ends or the ids do; then finishes.
Streamed run(const Tokenizer& tokenizer, const Ids& ids, const StopCriteria& criteria,
             const Ids& prompt = {}) {
  TextStream stream(tokenizer, criteria, prompt);
  Streamed result;
  for (const int32_t id : ids) {
    if (stream.stop_reason()) break;
    const std::string text = stream.push(id);
    EXPECT_TRUE(is_valid_utf8(text));
    result.text += text;
  }
  result.reason = stream.stop_reason();
  result.text += stream.finish();
  result.num_tokens = stream.num_tokens();
  return result;
}

class TextStreamTest : public ::testing::Test {
 protected:
  const Tokenizer tokenizer_ = make_tokenizer(byte_level_json());
};

TEST_F(TextStreamTest, WithoutCriteriaItIsDecode) {
  std::mt19937 random(1);
  for (const Json& json : {byte_level_json(), sentencepiece_json()}) {
    const Tokenizer tokenizer = make_tokenizer(json);
    for (int round = 0; round < 500; ++round) {
      const Ids ids = tokenizer.encode(random_text(random, 20));
      const Streamed result = run(tokenizer, ids, {});
      ASSERT_EQ(result.text, tokenizer.decode(ids, true));
      ASSERT_EQ(result.reason, std::nullopt);
      ASSERT_EQ(result.num_tokens, static_cast<int64_t>(ids.size()));
    }
  }
}

TEST_F(TextStreamTest, AStopTokenEndsTheTextBeforeItself) {
  Ids ids = byte_ids("hi");
  ids.insert(ids.end(), {kEnd, 'x'});
  Streamed result = run(tokenizer_, ids, {.tokens = {kEnd}});
  EXPECT_EQ(result.text, "hi");
  EXPECT_EQ(result.reason, StopReason::token);
  EXPECT_EQ(result.num_tokens, 3);
  result = run(tokenizer_, ids, {.tokens = {5, 'i'}});  // an ordinary one as well
  EXPECT_EQ(result.text, "h");
  EXPECT_EQ(result.reason, StopReason::token);
  result = run(tokenizer_, ids, {});
  EXPECT_EQ(result.text, "hix") << "other special tokens are left out of the text";
}

TEST_F(TextStreamTest, AStopStringCutAcrossTokens) {
  const std::string text = "say héllo END now";
  for (const std::string stop : {"END", " END", "héllo", "é", "lo END n", "w"}) {
    const Streamed result = run(tokenizer_, byte_ids(text), {.strings = {stop}});
    EXPECT_EQ(result.text, text.substr(0, text.find(stop))) << stop;
    EXPECT_EQ(result.reason, StopReason::string) << stop;
    EXPECT_EQ(result.num_tokens, static_cast<int64_t>(text.find(stop) + stop.size())) << stop;
  }
  const Streamed merged = run(tokenizer_, tokenizer_.encode("hello abc"), {.strings = {"o a"}});
  EXPECT_EQ(merged.text, "hell") << "a stop string may begin and end inside tokens";
  EXPECT_EQ(merged.reason, StopReason::string);
}

TEST_F(TextStreamTest, StopStringsAreLookedForAfterTheFirstTokens) {
  const auto with = [&](int64_t min_tokens) {
    return run(tokenizer_, byte_ids("xENDyEND"), {.strings = {"END"}, .min_tokens = min_tokens})
        .text;
  };
  EXPECT_EQ(with(1), "x");
  EXPECT_EQ(with(2), "xENDy") << "the first one begins in them";
  EXPECT_EQ(with(4), "xENDy");
  EXPECT_EQ(with(8), "xENDyEND");
}

TEST_F(TextStreamTest, WhatIsHeldBackComesAtTheEnd) {
  const StopCriteria criteria = {.tokens = {kEnd}, .strings = {"END"}, .max_tokens = 4};
  Ids ids = byte_ids("aEN");
  EXPECT_EQ(run(tokenizer_, ids, criteria).text, "aEN") << "the caller ended it";
  ids.push_back(kEnd);
  EXPECT_EQ(run(tokenizer_, ids, criteria).text, "aEN") << "a stop token ended it";
  ids.back() = 'E';
  const Streamed result = run(tokenizer_, ids, criteria);
  EXPECT_EQ(result.text, "aENE");
  EXPECT_EQ(result.reason, StopReason::length);
}

TEST_F(TextStreamTest, TheLastTokenAllowedEndsTheText) {
  const Streamed two = run(tokenizer_, byte_ids("abc"), {.max_tokens = 2});
  EXPECT_EQ(two.text, "ab");
  EXPECT_EQ(two.reason, StopReason::length);
  EXPECT_EQ(two.num_tokens, 2);
  const Streamed none = run(tokenizer_, byte_ids("abc"), {.max_tokens = 0});
  EXPECT_EQ(none.text, "");
  EXPECT_EQ(none.reason, StopReason::length);
  EXPECT_EQ(run(tokenizer_, byte_ids("ab"), {.tokens = {'b'}, .max_tokens = 2}).reason,
            StopReason::token)
      << "the more telling reason counts";
  EXPECT_EQ(run(tokenizer_, byte_ids("ab"), {.strings = {"b"}, .max_tokens = 2}).reason,
            StopReason::string);
}

TEST_F(TextStreamTest, CharactersComeWhole) {
  const std::string text = "é日👍";
  TextStream stream(tokenizer_, {});
  std::vector<std::string> parts;
  for (const int32_t id : byte_ids(text)) parts.push_back(stream.push(id));
  EXPECT_EQ(parts, (std::vector<std::string>{"", "é", "", "", "日", "", "", "", "👍"}));
  // An end within a character leaves the replacement character, which stop strings see too.
  const Streamed cut = run(tokenizer_, byte_ids(text), {.max_tokens = 4});
  EXPECT_EQ(cut.text, "é\xEF\xBF\xBD");
  const Streamed seen =
      run(tokenizer_, byte_ids(text), {.strings = {"\xEF\xBF\xBD"}, .max_tokens = 4});
  EXPECT_EQ(seen.text, "é");
  EXPECT_EQ(seen.reason, StopReason::string);
}

TEST_F(TextStreamTest, ThePromptDecidesTheFirstSpace) {
  const Tokenizer tokenizer = make_tokenizer(sentencepiece_json());
  const Ids ids = {*tokenizer.token_id("▁ab"), *tokenizer.token_id("▁abc")};
  EXPECT_EQ(run(tokenizer, ids, {}).text, "ab abc");
  EXPECT_EQ(run(tokenizer, ids, {}, {*tokenizer.token_id("▁"), *tokenizer.token_id("a")}).text,
            " ab abc");
  EXPECT_EQ(run(tokenizer, ids, {}, {*tokenizer.token_id("<s>")}).text, "ab abc")
      << "after the begin token alone the text is a new one";
  const Streamed stopped = run(tokenizer_, byte_ids("bc"), {.strings = {"ab"}}, byte_ids("a"));
  EXPECT_EQ(stopped.text, "bc") << "stop strings do not look into the prompt";
}

TEST_F(TextStreamTest, MistakesAreErrors) {
  const std::string empty = error_of([&] { TextStream stream(tokenizer_, {.strings = {""}}); });
  EXPECT_NE(empty.find("stop string: expected text"), std::string::npos);
  TextStream stream(tokenizer_, {.tokens = {kEnd}});
  stream.push(kEnd);
  EXPECT_EQ(error_of([&] { stream.push('a'); }),
            "[generate] the text has ended (stop token), no token may follow, found 97.");
  TextStream other(tokenizer_, {});
  const auto beyond = static_cast<int32_t>(tokenizer_.vocab_size());
  EXPECT_NE(error_of([&] { other.push(beyond); }).find("expected an id of the vocabulary"),
            std::string::npos);
}

}  // namespace
}  // namespace longgen
