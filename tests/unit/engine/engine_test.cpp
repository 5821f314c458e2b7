#include "longgen/engine/engine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "longgen/engine/session.h"
#include "tests/unit/engine/tiny_decoder.h"
#include "tests/unit/error_text.h"

namespace longgen {
namespace {

using Ids = std::vector<int32_t>;
using Parts = std::vector<BatchPart>;

Ids random_ids(std::mt19937_64& random, int64_t count) {
  Ids ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>(random() % kVocab));
  return ids;
}

/// The chunks in which a sequence came, which make its logits with those of no other.
using Chunks = std::vector<Ids>;

/// Logits that follow the last chunk, in an engine without neighbours.
at::Tensor alone(const Decoder& decoder, const Chunks& chunks) {
  Session session(decoder, 100'000);
  at::Tensor logits_V;
  for (const Ids& chunk : chunks) logits_V = session.append(chunk);
  return logits_V;
}

/// Sequences of an engine and what they were given.
struct Sequences {
  Engine& engine;
  std::vector<std::pair<SequenceId, Chunks>> all;

  void add() { all.emplace_back(engine.add(), Chunks()); }
  /// One step of `chunks`, the next of the first sequences.
  BatchResult step(const Chunks& chunks, const BatchOptions& options = {}) {
    Parts parts;
    for (size_t n = 0; n < chunks.size(); ++n) parts.push_back({all[n].first, chunks[n]});
    BatchResult result = engine.step(parts, options);
    if (result.end == BatchEnd::done) {
      for (size_t n = 0; n < chunks.size(); ++n) all[n].second.push_back(chunks[n]);
    }
    return result;
  }
};

TEST(EngineTest, IsolatedSequencesHaveTheBitsOfBeingAlone) {
  const TinyDecoder model;
  Engine engine(model.decoder, {.isolate_sequences = true});
  Sequences sequences{engine, {}};
  std::mt19937_64 random(1);
  for (int n = 0; n < 4; ++n) sequences.add();
  for (int step = 0; step < 6; ++step) {
    Chunks chunks;
    for (int n = 0; n < 4; ++n) {
      chunks.push_back(random_ids(random, random() % 2 == 0 ? 1 : 1 + random() % 150));
    }
    const BatchResult result = sequences.step(chunks);
    ASSERT_EQ(result.logits_BV.sizes(), at::IntArrayRef({4, kVocab}));
    for (int64_t n = 0; n < 4; ++n) {
      ASSERT_TRUE(result.logits_BV[n].equal(alone(model.decoder, sequences.all[n].second)))
          << "step " << step << ", sequence " << n;
    }
  }
}

TEST(EngineTest, TogetherTheyAgreeToRounding) {
  for (const char* pattern : {"sink", "sink=1,window=2,stride=3", "sink=0,window=1"}) {
    const TinyDecoder model(pattern);
    Engine engine(model.decoder), again(model.decoder);
    Sequences sequences{engine, {}}, twins{again, {}};
    std::mt19937_64 random(2);
    for (int n = 0; n < 5; ++n) sequences.add(), twins.add();
    for (int step = 0; step < 5; ++step) {
      Chunks chunks;
      for (int n = 0; n < 5; ++n) {
        chunks.push_back(random_ids(random, random() % 2 == 0 ? 1 : 1 + random() % 150));
      }
      const BatchResult result = sequences.step(chunks);
      EXPECT_TRUE(result.logits_BV.equal(twins.step(chunks).logits_BV));  // two runs are equal
      for (int64_t n = 0; n < 5; ++n) {
        const at::Tensor expected = alone(model.decoder, sequences.all[n].second);
        ASSERT_LE(max_abs_diff(result.logits_BV[n], expected), rounding(expected))
            << pattern << ", step " << step << ", sequence " << n;
      }
    }
  }
}

// Of long sequences, whose keys are attended to in parts, beside short ones.
TEST(EngineTest, StepsOfUpTo64TokensHaveTheBitsOfBeingAlone) {
  const TinyDecoder model;
  Engine engine(model.decoder);
  Sequences sequences{engine, {}};
  std::mt19937_64 random(3);
  for (const int64_t length : {1100, 3, 1700, 700}) {
    sequences.add();
    std::rotate(sequences.all.begin(), sequences.all.end() - 1, sequences.all.end());
    sequences.step({random_ids(random, length)});
  }
  for (const Chunks& chunks :
       {Chunks{{5}, {6}, {7}, {8}}, Chunks{{9, 9}, {10}, {11}}, Chunks{{12}, Ids(63, 13)},
        Chunks{Ids(20, 14), Ids(11, 15), {16}, Ids(32, 17)}, Chunks{{18}}}) {
    const BatchResult result = sequences.step(chunks);
    for (size_t n = 0; n < chunks.size(); ++n) {
      EXPECT_TRUE(result.logits_BV[static_cast<int64_t>(n)].equal(
          alone(model.decoder, sequences.all[n].second)))
          << chunks.size() << " sequences, " << n;
    }
  }
}

TEST(EngineTest, LogitsAndHiddenStatesAreThoseAskedFor) {
  const TinyDecoder model;
  Engine engine(model.decoder, {.isolate_sequences = true});
  const SequenceId a = engine.add(), b = engine.add(), c = engine.add();
  const Ids ids = some_ids(30);
  const std::span all(ids);
  const Parts parts = {{a, all.first(7)}, {b, all.first(20), false}, {c, all}};
  const BatchResult result = engine.step(parts, {.keep_hidden = true, .logits_on_device = true});
  EXPECT_EQ(result.end, BatchEnd::done);
  EXPECT_EQ(result.hidden_TE.size(0), 57);
  EXPECT_FALSE(result.without_pages.has_value());
  const at::Tensor expected = at::stack(
      {alone(model.decoder, {Ids(ids.begin(), ids.begin() + 7)}), alone(model.decoder, {ids})});
  EXPECT_TRUE(result.logits_BV.equal(expected));
  EXPECT_TRUE(
      model.decoder.logits(result.hidden_TE.narrow(0, 56, 1)).equal(expected.narrow(0, 1, 1)));
  const BatchResult silent = engine.step({{a, all, false}});
  EXPECT_FALSE(silent.logits_BV.defined());
  EXPECT_FALSE(silent.hidden_TE.defined());
  EXPECT_EQ(engine.num_tokens(a), 37);
  EXPECT_EQ(engine.num_tokens(b), 20);
}

// Random lives of many sequences on a small pool, each held against one that shares nothing.
TEST(EngineTest, SequencesThatComeForkAndGoAreAsIfAlone) {
  for (const char* pattern : {"sink=1,window=2,stride=3", "sink=1,window=1"}) {
    const TinyDecoder model(pattern);
    const KvLayout layout(model.config, PageType::kFloat32);
    Engine engine(model.decoder,
                  {.max_kv_bytes = 90 * layout.page_bytes(), .isolate_sequences = true});
    engine.record_graphs();  // there are none on a CPU
    std::vector<std::pair<SequenceId, Chunks>> sequences;
    std::mt19937_64 random(4);
    int num_forks = 0, num_full = 0, num_cancelled = 0;
    for (int step = 0; step < 90; ++step) {
      if (sequences.size() < 6) sequences.emplace_back(engine.add(), Chunks());
      const size_t i = random() % sequences.size();
      const auto [id, chunks] = sequences[i];
      const uint64_t action = random() % 6;
      if (action == 0) {
        engine.remove(id);
        sequences.erase(sequences.begin() + static_cast<ptrdiff_t>(i));
        continue;
      }
      if (action == 1) {
        const auto fork = engine.fork(id, engine.num_tokens(id));
        ASSERT_TRUE(fork.has_value());
        sequences.emplace_back(*fork, chunks);
        ++num_forks;
        continue;
      }
      const Ids mine = random_ids(random, 1 + random() % 90), others = random_ids(random, 1);
      Parts parts = {{id, mine}};
      const size_t other = (i + 1) % sequences.size();
      if (other != i) parts.push_back({sequences[other].first, others});
      const int64_t in_use = engine.pool().pages_in_use(), needed = engine.pages_needed(parts);
      const bool fits = needed <= engine.pool().pages_left();
      BatchOptions options;
      if (action == 2) options.on_layer = [&](int64_t done) { return done < 2; };
      const BatchResult result = engine.step(parts, options);
      ASSERT_EQ(result.end == BatchEnd::out_of_pages, !fits);
      if (result.end != BatchEnd::done) {
        ++(fits ? num_cancelled : num_full);
        ASSERT_EQ(engine.pool().pages_in_use(), in_use);
        if (!fits) {
          // A scheduler would remove one; here it is the one that grew.
          engine.remove(id);
          sequences.erase(sequences.begin() + static_cast<ptrdiff_t>(i));
        }
        continue;
      }
      sequences[i].second.push_back(mine);
      ASSERT_TRUE(result.logits_BV[0].equal(alone(model.decoder, sequences[i].second)));
      if (other == i) continue;
      sequences[other].second.push_back(others);
      ASSERT_TRUE(result.logits_BV[1].equal(alone(model.decoder, sequences[other].second)));
    }
    EXPECT_GT(num_forks, 5);
    EXPECT_GT(num_full, 3);
    EXPECT_GT(num_cancelled, 5);
    for (const auto& [id, chunks] : sequences) engine.remove(id);
    EXPECT_EQ(engine.num_sequences(), 0);
    EXPECT_EQ(engine.pool().pages_in_use(), 0);
  }
}

TEST(EngineTest, AFullPoolIsAnAnswerThatSaysWho) {
  const TinyDecoder model("sink");
  const KvLayout layout(model.config, PageType::kFloat32);
  Engine engine(model.decoder, {.max_kv_bytes = layout.pages_held(300) * layout.page_bytes()});
  const SequenceId a = engine.add(), b = engine.add(), c = engine.add();
  const Ids ids = some_ids(400);
  const std::span all(ids);
  ASSERT_EQ(engine.step({{a, all.first(100)}}).end, BatchEnd::done);
  const int64_t in_use = engine.pool().pages_in_use();
  const auto who = [&](const Parts& parts) {
    const BatchResult result = engine.step(parts);
    EXPECT_EQ(result.end, BatchEnd::out_of_pages);
    EXPECT_FALSE(result.logits_BV.defined());
    EXPECT_EQ(engine.pool().pages_in_use(), in_use);
    EXPECT_EQ(engine.num_tokens(a), 100);
    EXPECT_EQ(engine.num_tokens(b), 0);
    return result.without_pages;
  };
  EXPECT_EQ(who({{b, all}}), b);
  EXPECT_EQ(who({{b, all.first(100)}, {a, all}}), a);
  EXPECT_EQ(who({{b, all.first(64)}, {c, all.first(300)}, {a, all.first(1)}}), c);
  // With one less of them it goes on.
  EXPECT_EQ(engine.step({{a, all.first(1)}, {b, all.first(64)}}).end, BatchEnd::done);
}

TEST(EngineTest, CancelledAndFailedStepsLeaveSequencesAsTheyWere) {
  const TinyDecoder model;
  for (const bool isolate : {false, true}) {
    Engine engine(model.decoder, {.isolate_sequences = isolate});
    const SequenceId a = engine.add(), b = engine.add();
    const Ids ids = some_ids(130);
    engine.step({{a, ids}});
    const int64_t in_use = engine.pool().pages_in_use();
    const Parts parts = {{a, ids}, {b, ids}};
    std::vector<int64_t> seen;
    for (const int64_t last : {1, 2, 3}) {
      seen.clear();
      const BatchResult result = engine.step(parts, {.on_layer = [&](int64_t done) {
                                               seen.push_back(done);
                                               return done < last;
                                             }});
      EXPECT_EQ(result.end, BatchEnd::cancelled);
      EXPECT_EQ(seen.back(), last);
      EXPECT_EQ(engine.pool().pages_in_use(), in_use);
    }
    EXPECT_EQ(seen,
              isolate ? (std::vector<int64_t>{0, 1, 1, 2, 2, 3}) : (std::vector<int64_t>{1, 2, 3}));
    EXPECT_ERROR(engine.step(parts, {.on_layer = [](int64_t) -> bool { LG_FAIL("no memory"); }}),
                 "no memory");
    EXPECT_EQ(engine.pool().pages_in_use(), in_use);
    EXPECT_EQ(engine.num_tokens(a), 130);
    EXPECT_EQ(engine.num_tokens(b), 0);
    EXPECT_EQ(engine.step(parts).end, BatchEnd::done);
    EXPECT_EQ(engine.num_tokens(a), 260);
  }
}

TEST(EngineTest, AForkTakesNoPagesUntilItWrites) {
  const TinyDecoder model;
  Engine engine(model.decoder);
  const SequenceId a = engine.add();
  engine.step({{a, some_ids(200)}});
  const int64_t in_use = engine.pool().pages_in_use();
  std::vector<SequenceId> forks;
  for (int n = 0; n < 3; ++n) forks.push_back(engine.fork(a, 200).value());
  EXPECT_EQ(engine.pool().pages_in_use(), in_use);
  engine.remove(a);
  EXPECT_EQ(engine.pool().pages_in_use(), in_use);
  const Ids next = {1};
  const int64_t needed = engine.pages_needed(Parts{{forks[0], next}});
  EXPECT_EQ(needed, engine.layout().num_groups() * model.config.num_kv_heads);
  engine.step({{forks[0], next}});
  EXPECT_EQ(engine.pool().pages_in_use(), in_use + needed);
  EXPECT_FALSE(engine.fork(forks[1], 100).has_value());  // a block of these has left its window
  EXPECT_TRUE(engine.fork(forks[1], 10).has_value());    // these are in the sink
}

TEST(EngineTest, ErrorsSayWhatIsWrongAndChangeNothing) {
  const TinyDecoder model;
  const KvLayout layout(model.config, PageType::kFloat32);
  EXPECT_ERROR(Engine(model.decoder, {.max_kv_bytes = layout.page_bytes() - 1}),
               "Allow it more memory");
  Engine engine(model.decoder);
  const SequenceId a = engine.add(), b = engine.add(), gone = engine.add();
  engine.remove(gone);
  const Ids ids = some_ids(10), stranger = {5, 320};
  EXPECT_ERROR(engine.step(Parts{}), "[engine] a step needs at least one sequence.");
  EXPECT_ERROR(engine.step({{a, ids}, {b, Ids{}}}), "[engine] no tokens for sequence 1");
  EXPECT_ERROR(engine.step({{a, ids}, {b, ids}, {a, ids}}),
               "[engine] sequence 0 stands in a step twice");
  EXPECT_ERROR(engine.step({{a, ids}, {b, stranger}}),
               "[engine] token 320 is not in the model's vocabulary of 320");
  EXPECT_ERROR(engine.step({{a, ids}, {gone, ids}}),
               "[engine] there is no sequence 2: it was removed, or never added.");
  EXPECT_ERROR(engine.remove(gone), "there is no sequence 2");
  EXPECT_ERROR((void)engine.fork(77, 0), "there is no sequence 77");
  EXPECT_ERROR((void)engine.fork(a, 1), "cannot fork at 1 of 0 tokens");
  EXPECT_ERROR((void)engine.num_tokens(-1), "there is no sequence -1");
  EXPECT_EQ(engine.num_sequences(), 2);
  EXPECT_EQ(engine.pool().pages_in_use(), 0);
  EXPECT_NE(engine.add(), gone);
}

/// The live pages of a sequence at an earlier length, with one more owner each.
std::vector<HeldPage> share_pages(Engine& engine, SequenceId id, int64_t num_tokens) {
  std::vector<HeldPage> pages;
  const KvLayout& layout = engine.layout();
  const int64_t heads = layout.shape().num_kv_heads;
  for (int32_t table = 0; table < layout.num_tables(); ++table) {
    for (int32_t block = 0; block < num_blocks(num_tokens); ++block) {
      if (!layout.live(table, block, num_tokens)) continue;
      pages.push_back(
          {table, block, engine.sequence(id).pages(table / heads, table % heads).at(block)});
      engine.pool().share(pages.back().page);
    }
  }
  return pages;
}

// A step that keeps dead pages leaves those of an earlier length to others, who outlive it.
TEST(EngineTest, AnAdoptedSequenceGoesOnAsTheOneThatWroteItsPages) {
  for (const char* pattern : {"sink", "sink=1,window=2,stride=3", "sink=0,window=1"}) {
    const TinyDecoder model(pattern);
    Engine engine(model.decoder);
    std::mt19937_64 random(8);
    const Ids ids = random_ids(random, 700), next = random_ids(random, 30);
    const SequenceId first = engine.add();
    engine.step({{first, ids}}, {.keep_dead = true});
    EXPECT_EQ(engine.sequence(first).num_pages(), engine.layout().pages_in_pass(0, 700));
    EXPECT_NE(error_of([&] {
                engine.step({{first, next}});
              }).find("release_dead()"),
              std::string::npos);
    const std::vector<HeldPage> pages = share_pages(engine, first, 320);
    engine.release_dead(first);
    EXPECT_EQ(engine.sequence(first).num_pages(), engine.layout().pages_held(700));
    engine.remove(first);
    EXPECT_EQ(engine.pool().pages_in_use(), engine.layout().pages_held(320));

    const SequenceId warm = engine.adopt(320, pages);
    EXPECT_EQ(engine.num_tokens(warm), 320);
    const Ids rest(ids.begin() + 320, ids.end());
    for (const Ids& chunk : {rest, next}) {
      const at::Tensor logits_V = engine.step({{warm, chunk}}).logits_BV[0];
      const at::Tensor cold =
          chunk == rest ? alone(model.decoder, {ids}) : alone(model.decoder, {ids, next});
      EXPECT_LE(max_abs_diff(logits_V, cold), rounding(cold)) << pattern;
    }
    engine.remove(warm);
    for (const HeldPage& held : pages) engine.pool().release(held.page);
    EXPECT_EQ(engine.pool().pages_in_use(), 0);
  }
}

}  // namespace
}  // namespace longgen
