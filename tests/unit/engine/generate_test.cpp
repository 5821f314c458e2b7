#include "longgen/engine/generate.h"

#include <gtest/gtest.h>

#include "tests/unit/engine/tiny_decoder.h"

namespace longgen {
namespace {

using Ids = std::vector<int32_t>;

class GenerateTest : public ::testing::Test {
 protected:
  /// Greedy, at most 12 tokens, none beyond the tokenizer's.
  GenerateOptions greedy() const {
    GenerateOptions options;
    options.sampling.temperature = 0;
    options.vocab_size = tokenizer_.vocab_size();
    options.stop.max_tokens = 12;
    return options;
  }

  struct Reply {
    Generated generated;
    std::string text;
  };
  Reply reply(Session& session, const Ids& prompt, const GenerateOptions& options) const {
    TextStream stream(tokenizer_, options.stop);
    Reply reply;
    GenerateCallbacks callbacks;
    callbacks.text = [&](const std::string& text) { reply.text += text; };
    reply.generated = generate(session, prompt, prompt, stream, options, callbacks);
    return reply;
  }
  Reply reply(const GenerateOptions& options) const {
    Session session(model_.decoder, 64);
    return reply(session, prompt_, options);
  }

  const Tokenizer tokenizer_ = tiny_tokenizer();
  const TinyDecoder model_;
  const Ids prompt_ = some_ids(150);
};

TEST_F(GenerateTest, GreedyTakesTheBestTokenOfTheWholeForwardPass) {
  Ids ids = prompt_;
  for (int i = 0; i < 12; ++i) {
    const at::Tensor last =
        logits_of(model_.decoder, ids)[-1].narrow(0, 0, tokenizer_.vocab_size());
    ids.push_back(static_cast<int32_t>(last.argmax().item<int64_t>()));
  }
  const Reply found = reply(greedy());
  EXPECT_EQ(found.generated.ids, Ids(ids.begin() + 150, ids.end()));
  EXPECT_EQ(found.text, tokenizer_.decode(found.generated.ids, true));
  EXPECT_EQ(found.generated.end, GenerateEnd::length);
  EXPECT_EQ(found.generated.prompt_tokens, 150);
}

TEST_F(GenerateTest, TokensBeyondTheTokenizersAreNeverDrawn) {
  ModelWeights weights = model_.weights;
  weights.head_VE = weights.head_VE.clone();
  weights.head_VE.narrow(0, tokenizer_.vocab_size(), kVocab - tokenizer_.vocab_size()).mul_(50);
  const Decoder padded(model_.config, weights);
  const at::Tensor logits = logits_of(padded, prompt_)[-1];
  ASSERT_GE(logits.argmax().item<int64_t>(), tokenizer_.vocab_size());
  for (const double temperature : {0.0, 1.5}) {
    Session session(padded);
    GenerateOptions options = greedy();
    options.sampling.temperature = temperature;
    options.stop.max_tokens = 60;
    const Reply found = reply(session, prompt_, options);
    EXPECT_EQ(found.generated.ids.size(), 60u);
    for (const int32_t id : found.generated.ids) EXPECT_LT(id, tokenizer_.vocab_size());
  }
}

TEST_F(GenerateTest, AStopTokenEndsIt) {
  const Ids all = reply(greedy()).generated.ids;
  const auto place = static_cast<size_t>(std::find(all.begin(), all.end(), all[5]) - all.begin());
  GenerateOptions options = greedy();
  options.stop.tokens = {all[5]};
  const Reply found = reply(options);
  EXPECT_EQ(found.generated.end, GenerateEnd::stop_token);
  EXPECT_EQ(found.generated.ids, Ids(all.begin(), all.begin() + static_cast<long>(place) + 1));
  EXPECT_EQ(found.text, tokenizer_.decode(std::span(all).first(place), true));
}

TEST_F(GenerateTest, AStopStringEndsItBeforeItself) {
  const std::string text = reply(greedy()).text;
  // The first ASCII character, so that the string is whole wherever it stands.
  const auto ascii = std::find_if(text.begin(), text.end(),
                                  [](char c) { return static_cast<unsigned char>(c) < 0x80; });
  ASSERT_NE(ascii, text.end());
  GenerateOptions options = greedy();
  options.stop.strings = {std::string(1, *ascii)};
  const Reply found = reply(options);
  EXPECT_EQ(found.generated.end, GenerateEnd::stop_string);
  EXPECT_EQ(found.text, std::string(text.begin(), ascii));
}

TEST_F(GenerateTest, NoTokensAreAllowedToo) {
  GenerateOptions options = greedy();
  options.stop.max_tokens = 0;
  Session session(model_.decoder);
  const Reply found = reply(session, prompt_, options);
  EXPECT_TRUE(found.generated.ids.empty());
  EXPECT_EQ(found.generated.end, GenerateEnd::length);
  EXPECT_EQ(session.num_tokens(), 150);
  EXPECT_EQ(found.generated.tokens_per_second(), 0);
}

TEST_F(GenerateTest, AnInterruptWhileThePromptIsReadGivesNoToken) {
  std::atomic<bool> interrupted = false;
  GenerateOptions options = greedy();
  options.interrupted = &interrupted;
  Session session(model_.decoder, 64);
  TextStream stream(tokenizer_, options.stop);
  GenerateCallbacks callbacks;
  callbacks.prefill = [&](int64_t done) { interrupted = done > 64; };
  const Generated generated = generate(session, prompt_, prompt_, stream, options, callbacks);
  EXPECT_EQ(generated.end, GenerateEnd::interrupted);
  EXPECT_TRUE(generated.ids.empty());
  EXPECT_EQ(session.num_tokens(), 64) << "the chunk under way is given up";
}

TEST_F(GenerateTest, AnInterruptKeepsWhatWasGenerated) {
  const Ids all = reply(greedy()).generated.ids;
  std::atomic<bool> interrupted = false;
  GenerateOptions options = greedy();
  options.interrupted = &interrupted;
  Session session(model_.decoder, 64);
  TextStream stream(tokenizer_, options.stop);
  GenerateCallbacks callbacks;
  int num_texts = 0;
  callbacks.text = [&](const std::string&) { interrupted = ++num_texts == 3; };
  const Generated generated = generate(session, prompt_, prompt_, stream, options, callbacks);
  EXPECT_EQ(generated.end, GenerateEnd::interrupted);
  EXPECT_EQ(generated.ids, Ids(all.begin(), all.begin() + 3));
  EXPECT_EQ(session.num_tokens(), 152) << "all but the last token";
}

TEST_F(GenerateTest, ASecondCallGoesOnInTheCache) {
  GenerateOptions options = greedy();
  Session session(model_.decoder, 64);
  Ids ids = prompt_;
  const Generated first = reply(session, prompt_, options).generated;
  ids.insert(ids.end(), first.ids.begin(), first.ids.end());
  ids.insert(ids.end(), {1, 2, 3});
  const Ids fresh(ids.begin() + session.num_tokens(), ids.end());
  EXPECT_EQ(fresh.size(), 4u);
  Session whole(model_.decoder, 64);
  EXPECT_EQ(reply(session, fresh, options).generated.ids, reply(whole, ids, options).generated.ids);
  EXPECT_EQ(session.num_tokens(), whole.num_tokens());
}

TEST_F(GenerateTest, AnEmptyPromptIsAnError) {
  Session session(model_.decoder);
  EXPECT_ERROR(reply(session, {}, greedy()), "no tokens to append");
}

TEST(GeneratedTest, SpeedCountsTheTokensAfterTheFirst) {
  Generated generated{.ids = {1, 2, 3, 4, 5}, .decode_seconds = 2};
  EXPECT_EQ(generated.tokens_per_second(), 2);
  generated.ids.resize(1);
  EXPECT_EQ(generated.tokens_per_second(), 0);
}

}  // namespace
}  // namespace longgen
