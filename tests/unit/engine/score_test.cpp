#include "longgen/engine/score.h"

#include <gtest/gtest.h>

#include "tests/unit/engine/tiny_decoder.h"

namespace longgen {
namespace {

using Ids = std::vector<int32_t>;

/// (T - 1, V): the logarithm of each token's probability after each token but the last.
at::Tensor logprobs_of(const Decoder& decoder, const Ids& ids) {
  return at::log_softmax(logits_of(decoder, ids).to(at::kDouble), 1).slice(0, 0, -1);
}

at::Tensor of_next(const at::Tensor& logprobs_TV, const Ids& ids) {
  const at::Tensor next = at::tensor(Ids(ids.begin() + 1, ids.end()), at::kInt).to(at::kLong);
  return logprobs_TV.gather(1, next.unsqueeze(1)).squeeze(1);
}

TEST(ScoreTest, ChunksScoreAsTheWholeForwardPass) {
  const TinyDecoder model;
  const Ids ids = some_ids(230);
  const at::Tensor whole = of_next(logprobs_of(model.decoder, ids), ids);
  for (const int64_t chunk : {1, 64, 100, 229, 230, 1000}) {
    Session session(model.decoder, chunk);
    session.append(some_ids(20));  // is forgotten
    const TokenScores scores = score_tokens(session, ids);
    ASSERT_EQ(scores.logprobs.size(), 229u) << "in chunks of " << chunk;
    EXPECT_LE(max_abs_diff(at::tensor(scores.logprobs), whole), rounding(whole))
        << "in chunks of " << chunk;
    EXPECT_TRUE(scores.top.empty());
  }
}

TEST(ScoreTest, TopAreTheMostProbableOnesBestFirst) {
  const TinyDecoder model;
  const Ids ids = some_ids(100);
  const at::Tensor whole = logprobs_of(model.decoder, ids);
  const auto [values, order] = whole.topk(4, 1);
  Session session(model.decoder, 30);
  const TokenScores scores = score_tokens(session, ids, {.top = 4});
  ASSERT_EQ(scores.top.size(), 99u);
  for (int64_t row = 0; row < 99; ++row) {
    ASSERT_EQ(scores.top[row].size(), 4u);
    for (int64_t i = 0; i < 4; ++i) {
      EXPECT_EQ(scores.top[row][i].first, order[row][i].item<int64_t>()) << row;
      EXPECT_NEAR(scores.top[row][i].second, values[row][i].item<double>(), rounding(whole)) << row;
    }
  }
}

TEST(ScoreTest, TokensBeyondTheTokenizersKeepTheirShareButAreNotNamed) {
  const TinyDecoder model;
  const Ids ids = some_ids(20);
  Session session(model.decoder);
  const TokenScores all = score_tokens(session, ids, {.top = 10'000});
  const TokenScores known = score_tokens(session, ids, {.top = 10'000, .vocab_size = 266});
  EXPECT_EQ(known.logprobs, all.logprobs);
  for (size_t row = 0; row < known.top.size(); ++row) {
    ASSERT_EQ(all.top[row].size(), static_cast<size_t>(kVocab));
    auto wanted = all.top[row];
    std::erase_if(wanted, [](const auto& token) { return token.first >= 266; });
    EXPECT_EQ(known.top[row], wanted);
  }
}

TEST(ScoreTest, OneTokenHasNoScore) {
  const TinyDecoder model;
  Session session(model.decoder);
  const TokenScores scores = score_tokens(session, Ids{5}, {.top = 3});
  EXPECT_TRUE(scores.logprobs.empty());
  EXPECT_TRUE(scores.top.empty());
}

TEST(ScoreTest, EndedEarlyItHasTheScoresOfWholeChunks) {
  const TinyDecoder model;
  const Ids ids = some_ids(100);
  Session session(model.decoder, 30);
  const std::vector<float> all = score_tokens(session, ids).logprobs;
  const TokenScores some =
      score_tokens(session, ids, {.on_progress = [](int64_t done) { return done <= 60; }});
  EXPECT_EQ(some.logprobs, std::vector<float>(all.begin(), all.begin() + 60));
}

TEST(ScoreTest, ErrorsSayWhatIsWrong) {
  const TinyDecoder model;
  Session session(model.decoder);
  EXPECT_ERROR(score_tokens(session, some_ids(5), {.top = -1}),
               "expected a top of 0 or more, found -1");
  EXPECT_ERROR(score_tokens(session, Ids{}), "no tokens to append");
  EXPECT_ERROR(score_tokens(session, Ids{1, 320}), "token 320 is not in the model's vocabulary");
}

}  // namespace
}  // namespace longgen
