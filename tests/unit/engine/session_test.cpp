#include "longgen/engine/session.h"

#include <gtest/gtest.h>

#include "tests/unit/engine/tiny_decoder.h"
#include "tests/unit/model/model_kinds.h"

namespace longgen {
namespace {

using Ids = std::vector<int32_t>;

/// Logits that follow every token from the prompt's last on.
at::Tensor cached_logits(Session& session, const Ids& ids, size_t prompt) {
  std::vector<at::Tensor> logits = {session.append(std::span(ids).first(prompt))};
  for (size_t i = prompt; i < ids.size(); ++i) {
    logits.push_back(session.append(std::span(ids).subspan(i, 1)));
  }
  return at::stack(logits);
}

TEST(SessionTest, ChunksAndSingleTokensAreOnePass) {
  const Ids ids = some_ids(400);
  for (const char* pattern : {"sink", "sink=1,window=2,stride=3", "sink=0,window=1"}) {
    const TinyDecoder model(pattern);
    const at::Tensor whole = logits_of(model.decoder, ids);
    for (const int64_t chunk : {1, 16, 100, 1000}) {
      Session session(model.decoder, chunk);
      EXPECT_LE(max_abs_diff(cached_logits(session, ids, 300), whole.slice(0, 299)),
                rounding(whole))
          << pattern << " in chunks of " << chunk;
      EXPECT_EQ(session.num_tokens(), 400);
    }
  }
}

TEST(SessionTest, EveryKindOfModelDecodesAsInOnePass) {
  const Ids ids = some_ids(200);
  for (const ModelCase& c : kModelCases) {
    Json json = tiny_json();
    json["vocab_size"] = kVocab;
    json["initializer_range"] = 0.1;
    const ModelConfig config = config_of(c, json);
    const Decoder decoder(config, varied_weights(config, at::kFloat));
    const at::Tensor whole = logits_of(decoder, ids);
    Session session(decoder, 33);
    EXPECT_LE(max_abs_diff(cached_logits(session, ids, 150), whole.slice(0, 149)), rounding(whole))
        << c.name;
  }
}

TEST(SessionTest, HiddenStatesComeChunkByChunk) {
  const TinyDecoder model;
  const Ids ids = some_ids(250);
  Session session(model.decoder, 100);
  std::vector<at::Tensor> hidden;
  std::vector<int64_t> firsts;
  session.append(ids, [&](const at::Tensor& hidden_TE, int64_t first) {
    hidden.push_back(model.decoder.logits(hidden_TE));
    firsts.push_back(first);
  });
  EXPECT_EQ(firsts, (std::vector<int64_t>{0, 100, 200}));
  const at::Tensor whole = logits_of(model.decoder, ids);
  EXPECT_LE(max_abs_diff(at::cat(hidden), whole), rounding(whole));
}

TEST(SessionTest, ProgressCountsTheLayersOfAChunk) {
  const TinyDecoder model;
  Session session(model.decoder, 100);
  std::vector<int64_t> seen;
  session.append(some_ids(250), [&](int64_t done) {
    seen.push_back(done);
    return true;
  });
  EXPECT_EQ(seen, (std::vector<int64_t>{33, 66, 100, 133, 166, 200, 216, 233, 250}));
}

TEST(SessionTest, EndingEarlyKeepsWholeChunksAndTheSessionGoesOn) {
  const TinyDecoder model;
  const Ids ids = some_ids(250);
  Session whole(model.decoder, 100);
  const at::Tensor wanted = whole.append(ids);
  const std::vector<std::pair<int64_t, int64_t>> cases = {{33, 0}, {100, 100}, {166, 100}};
  for (const auto& [end, kept] : cases) {
    Session session(model.decoder, 100);
    const at::Tensor none = session.append(ids, [end = end](int64_t done) { return done != end; });
    EXPECT_FALSE(none.defined());
    ASSERT_EQ(session.num_tokens(), kept) << "ended at " << end;
    const auto rest = std::span(ids).subspan(static_cast<size_t>(kept));
    EXPECT_TRUE(session.append(rest).equal(wanted)) << "ended at " << end;
    EXPECT_EQ(session.kv_bytes(), whole.kv_bytes());
  }
}

TEST(SessionTest, AClearedSessionIsANewOne) {
  const TinyDecoder model;
  const Ids ids = some_ids(200);
  Session session(model.decoder, 64), fresh(model.decoder, 64);
  session.append(some_ids(333));
  session.clear();
  EXPECT_EQ(session.num_tokens(), 0);
  EXPECT_EQ(session.kv_bytes(), 0);
  EXPECT_TRUE(session.append(ids).equal(fresh.append(ids)));
}

TEST(SessionTest, BytesAreThosePlanned) {
  const TinyDecoder model;
  const KvLayout layout(model.config, PageType::kFloat32);
  Session session(model.decoder, 100);
  const Ids ids = some_ids(700);
  session.append(std::span(ids).first(333));
  EXPECT_EQ(session.kv_bytes(), layout.kv_bytes(333));
  for (size_t i = 333; i < ids.size(); ++i) {
    session.append(std::span(ids).subspan(i, 1));
    ASSERT_EQ(session.kv_bytes(), layout.kv_bytes(session.num_tokens()));
  }
  EXPECT_EQ(session.full_kv_bytes(), layout.full_kv_bytes(700));
  EXPECT_LT(session.kv_bytes(), session.full_kv_bytes());
  EXPECT_EQ(session.kv_bytes_peak(),
            std::max(layout.pages_peak(0, 333, 100), layout.pages_peak(333, 700, 1)) *
                layout.page_bytes());
}

TEST(SessionTest, ErrorsSayWhatIsWrongAndChangeNothing) {
  const TinyDecoder model;
  EXPECT_ERROR(Session(model.decoder, -1), "expected a chunk of at least 1 token, found -1");
  Session session(model.decoder, 10);
  EXPECT_ERROR(session.append(Ids{}), "no tokens to append");
  session.append(some_ids(30));
  const int64_t bytes = session.kv_bytes();
  Ids ids = some_ids(25);
  for (const int32_t stranger : {320, -1}) {
    ids.back() = stranger;
    EXPECT_ERROR(session.append(ids),
                 "token " + std::to_string(stranger) + " is not in the model's vocabulary of 320");
  }
  EXPECT_EQ(session.num_tokens(), 30);
  EXPECT_EQ(session.kv_bytes(), bytes);
}

}  // namespace
}  // namespace longgen
