// The cached context, engines, sessions and decode graphs on a GPU.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>

#include "longgen/engine/engine.h"
#include "longgen/engine/score.h"
#include "longgen/engine/session.h"
#include "longgen/kv_cache/host_pages.h"
#include "tests/gpu/gpu_test.h"
#include "tests/numerics/attend_truth.h"
#include "tests/unit/model/test_support.h"

namespace longgen {
namespace {

using SessionGpuTest = GpuTest;

std::vector<int32_t> some_ids(int64_t count) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(static_cast<int32_t>((i * i * 7 + 11) % 131));
  return ids;
}

ModelConfig tiny_config(const char* pattern) {
  Json json = tiny_json();
  json["head_dim"] = 64;
  json["initializer_range"] = 0.1;
  ModelConfig config = parse(json);
  config.layers = LayerPlan::hybrid(config.num_layers, {1}, Pattern::parse(pattern));
  return config;
}

struct Decoders {
  explicit Decoders(const char* pattern)
      : config(tiny_config(pattern)),
        weights(random_weights(config, at::kBFloat16, 5)),
        cpu(config, weights),
        exact(config, converted(weights, at::kFloat, at::kCPU)),
        gpu(config, converted(weights, at::kBFloat16, kGpu)) {}
  ModelConfig config;
  ModelWeights weights;
  Decoder cpu, exact, gpu;
};

/// Logits of all tokens in one pass, on the CPU.
torch::Tensor logits_of(const Decoder& decoder, const std::vector<int32_t>& ids) {
  const torch::NoGradGuard no_grad;
  BatchContext context(static_cast<int64_t>(ids.size()));
  const torch::Tensor tokens = torch::tensor(ids, torch::kInt).to(torch::kLong);
  return decoder.logits(decoder.forward(tokens, context));
}

/// Logits that follow every token: a prompt in chunks, then token by token.
torch::Tensor cached_logits(Session& session, const std::vector<int32_t>& ids, size_t prompt) {
  std::vector<torch::Tensor> logits = {session.append(std::span(ids).first(prompt))};
  for (size_t i = prompt; i < ids.size(); ++i) {
    logits.push_back(session.append(std::span(ids).subspan(i, 1)));
  }
  return torch::stack(logits);
}

/// Queries, keys and values of one layer of one sequence, bf16.
Qkv random_layer(int64_t num_tokens, int64_t seed) {
  torch::manual_seed(seed);
  const auto random = [&](int64_t heads) {
    return torch::randn({num_tokens, heads, 64}).to(torch::kBFloat16);
  };
  return {random(6), random(2), random(2)};
}

// First chunks, later ones and single tokens of several sequences in one pass.
TEST_F(SessionGpuTest, ContextIsLikeWholeSequences) {
  constexpr int64_t kTokens = 900;
  const LayerPlan plan = LayerPlan::hybrid(3, {0}, Pattern::parse("sink=1,window=2,stride=3"));
  const KvLayout layout(plan, {3, 2, 64, PageType::kBfloat16});
  PagePool pool(layout.page_bytes(), std::nullopt, gpu_cache().new_memory(kGpu, std::nullopt));
  std::vector<std::unique_ptr<SequenceCache>> caches;
  std::vector<std::vector<Qkv>> layers(3);  // of each sequence
  for (int64_t n = 0; n < 3; ++n) {
    caches.push_back(std::make_unique<SequenceCache>(layout, pool));
    for (int64_t layer = 0; layer < 3; ++layer) {
      layers[n].push_back(random_layer(kTokens, 10 * n + layer));
    }
  }
  std::vector<std::vector<std::vector<torch::Tensor>>> outs(
      3, std::vector<std::vector<torch::Tensor>>(3));
  std::mt19937_64 random(4);
  CachedContext context;
  for (int pass = 0; std::any_of(caches.begin(), caches.end(),
                                 [&](const auto& cache) { return cache->length() < kTokens; });
       ++pass) {
    std::vector<CachedContext::Part> parts;
    for (const auto& cache : caches) {
      const auto most = static_cast<int64_t>(pass % 3 == 0 ? 200 : 3);
      const int64_t count = pass == 0 ? 70 + most : static_cast<int64_t>(random() % most);
      parts.push_back({cache.get(), std::min(count, kTokens - cache->length())});
    }
    ASSERT_TRUE(context.begin(parts));
    for (int64_t layer = 0; layer < 3; ++layer) {
      const auto rows = [&](torch::Tensor Qkv::*which) {
        std::vector<torch::Tensor> all;
        for (int64_t n = 0; n < 3; ++n) {
          all.push_back(
              (layers[n][layer].*which).narrow(0, caches[n]->length(), parts[n].num_tokens));
        }
        return torch::cat(all).to(kGpu);
      };
      const torch::Tensor out = context.attend({layer, plan.pattern(layer, 2)}, rows(&Qkv::q_THD),
                                               rows(&Qkv::k_SKD), rows(&Qkv::v_SKD));
      int64_t row = 0;
      for (int64_t n = 0; n < 3; ++n) {
        outs[n][layer].push_back(out.narrow(0, row, parts[n].num_tokens).cpu());
        row += parts[n].num_tokens;
      }
    }
    context.commit();
  }
  for (int64_t n = 0; n < 3; ++n) {
    for (int64_t layer = 0; layer < 3; ++layer) {
      const Qkv& x = layers[n][layer];
      const OutputTruth truth = output_truth(x, plan.pattern(layer, 2));
      EXPECT_EQ(wrong_output(torch::cat(outs[n][layer]), /*lse=*/{}, truth), "")
          << "sequence " << n << ", layer " << layer;
    }
  }
}

TEST_F(SessionGpuTest, DecodingIsLikeTheFullForward) {
  const auto ids = some_ids(400);
  for (const char* pattern : {"sink", "sink=1,window=2,stride=3", "sink=0,window=1"}) {
    const Decoders model(pattern);
    const torch::Tensor exact = logits_of(model.exact, ids);
    const double cpu_error = max_abs_diff(logits_of(model.cpu, ids), exact);
    for (const int64_t chunk : {16, 100, 1000}) {
      Session session(model.gpu, chunk);
      const torch::Tensor ours = cached_logits(session, ids, 150);
      EXPECT_LE(max_abs_diff(ours, exact.slice(0, 149)),
                2 * cpu_error + spacing(exact, torch::kBFloat16))
          << pattern << " in chunks of " << chunk;
      EXPECT_EQ(session.num_tokens(), 400);
    }
  }
}

TEST_F(SessionGpuTest, BytesAreThosePlanned) {
  const Decoders model("sink=1,window=2,stride=3");
  const KvLayout layout(model.config, PageType::kBfloat16);
  Session session(model.gpu, 100);
  const auto ids = some_ids(700);
  session.append(std::span(ids).first(333));
  EXPECT_EQ(session.kv_bytes(), layout.kv_bytes(333));
  for (size_t i = 333; i < ids.size(); ++i) {
    session.append(std::span(ids).subspan(i, 1));
    ASSERT_EQ(session.kv_bytes(), layout.kv_bytes(session.num_tokens()));
  }
  EXPECT_EQ(session.kv_bytes_peak(),
            std::max(layout.pages_peak(0, 333, 100), layout.pages_peak(333, 700, 1)) *
                layout.page_bytes());
}

// A cleared session goes on with other pages and the same graph.
TEST_F(SessionGpuTest, GraphIsLikeEagerAlsoAfterClear) {
  const Decoders model("sink=1,window=2,stride=3");
  const torch::NoGradGuard no_grad;
  const auto ids = some_ids(300);
  Session session(model.gpu);
  for (const size_t prompt : {100, 7, 192}) {
    session.clear();
    const torch::Tensor by_graph = cached_logits(session, ids, prompt);
    const KvLayout layout(model.config, PageType::kBfloat16);
    PagePool pool(layout.page_bytes(), std::nullopt, gpu_cache().new_memory(kGpu, std::nullopt));
    SequenceCache cache(layout, pool);
    CachedContext context;
    const auto eager = [&](size_t first, size_t count) {
      const auto begin = ids.begin() + static_cast<std::ptrdiff_t>(first);
      const torch::Tensor tokens =
          torch::tensor(std::vector<int32_t>(begin, begin + static_cast<std::ptrdiff_t>(count)))
              .to(torch::kLong);
      LG_CHECK(context.begin({{&cache, static_cast<int64_t>(count)}}), "the pool is full");
      const torch::Tensor hidden = model.gpu.forward(on_gpu(tokens), context);
      context.commit();
      return model.gpu.logits(hidden.slice(0, -1)).view({-1}).cpu();
    };
    EXPECT_TRUE(by_graph[0].equal(eager(0, prompt)));
    for (size_t i = prompt; i < ids.size(); ++i) {
      ASSERT_TRUE(by_graph[i - prompt + 1].equal(eager(i, 1))) << i;
    }
  }
}

/// The same steps in an engine and, without graphs, on caches of their own; those that a graph does
/// padded as it is, with tables of their own.
class EngineAndEager {
 public:
  explicit EngineAndEager(const Decoders& model)
      : decoder_(model.gpu),
        engine_(model.gpu),
        layout_(model.config, PageType::kBfloat16),
        pool_(layout_.page_bytes(), std::nullopt, gpu_cache().new_memory(kGpu, std::nullopt)),
        tables_(layout_, kGpu, DecodeGraphs::kMostSequences) {}

  void add() {
    sequences_.push_back({engine_.add(), std::make_unique<SequenceCache>(layout_, pool_)});
  }
  void remove(size_t n) {
    engine_.remove(sequences_[n].id);
    tables_.forget(*sequences_[n].cache);
    sequences_.erase(sequences_.begin() + static_cast<std::ptrdiff_t>(n));
  }
  void fork(size_t n) {
    const int64_t length = engine_.num_tokens(sequences_[n].id);
    const auto id = engine_.fork(sequences_[n].id, length);
    LG_CHECK(id.has_value(), "a fork at the length is always possible");
    sequences_.push_back({*id, std::make_unique<SequenceCache>(layout_, pool_)});
    LG_CHECK(sequences_.back().cache->fork_from(*sequences_[n].cache, length), "as above");
  }
  size_t num_sequences() const { return sequences_.size(); }
  Engine& engine() { return engine_; }

  /// Appends tokens[n] to sequence n of the first ones, but for those without tokens; whether the
  /// logits are equal to the bit.
  bool step(const std::vector<std::vector<int32_t>>& tokens, bool on_device = false) {
    std::vector<BatchPart> parts;
    std::vector<PassPart> pass;
    std::vector<int32_t> all;
    std::vector<int64_t> last;
    for (size_t n = 0; n < tokens.size(); ++n) {
      if (tokens[n].empty()) continue;
      parts.push_back({sequences_[n].id, tokens[n]});
      pass.push_back({sequences_[n].cache.get(), static_cast<int64_t>(tokens[n].size())});
      all.insert(all.end(), tokens[n].begin(), tokens[n].end());
      last.push_back(static_cast<int64_t>(all.size()) - 1);
    }
    const BatchResult result = engine_.step(parts, {.logits_on_device = on_device});
    const auto count = static_cast<int64_t>(parts.size());
    torch::Tensor eager;
    if (!is_graph_step(parts, {}, {})) {
      eager = forward(pass, all).index_select(0, on_gpu(torch::tensor(last)));
    } else {
      all.resize(DecodeGraphTable::rows_for(count), 0);
      if (static_cast<int64_t>(all.size()) == count) {  // no padding: as without tables of its own
        eager = decoder_.logits(forward(pass, all)).cpu();
        context_.cancel();
        if (!result.logits_BV.cpu().equal(eager)) return false;
      }
      LG_CHECK(context_.begin(pass, tables_, static_cast<int64_t>(all.size())), "the pool is full");
      eager = decoder_.forward(on_gpu(torch::tensor(all).to(torch::kLong)), context_);
    }
    eager = decoder_.logits(eager).narrow(0, 0, count).cpu();
    context_.commit();
    return result.logits_BV.is_cuda() == on_device && result.logits_BV.cpu().equal(eager);
  }

 private:
  torch::Tensor forward(const std::vector<PassPart>& pass, const std::vector<int32_t>& tokens) {
    LG_CHECK(context_.begin(pass), "the pool is full");
    return decoder_.forward(on_gpu(torch::tensor(tokens).to(torch::kLong)), context_);
  }

  struct Sequence {
    SequenceId id;
    std::unique_ptr<SequenceCache> cache;
  };
  const Decoder& decoder_;
  Engine engine_;
  KvLayout layout_;
  PagePool pool_;
  CachedContext context_;
  ResidentTables tables_;
  std::vector<Sequence> sequences_;
};

// Prompts, mixed passes and single tokens of sequences that come, fork and go.
TEST_F(SessionGpuTest, AnEngineIsLikeEager) {
  const torch::NoGradGuard no_grad;
  for (const char* pattern : {"sink=1,window=2,stride=3", "sink"}) {
    const Decoders model(pattern);
    EngineAndEager both(model);
    std::mt19937_64 random(6);
    const auto ids = [&](uint64_t count) {
      std::vector<int32_t> result;
      for (uint64_t i = 0; i < count; ++i) result.push_back(static_cast<int32_t>(random() % 131));
      return result;
    };
    for (int round = 0; round < 12; ++round) {
      while (both.num_sequences() < static_cast<size_t>(1 + round % 6)) both.add();
      std::vector<std::vector<int32_t>> tokens;
      for (size_t n = 0; n < both.num_sequences(); ++n) {
        tokens.push_back(ids(random() % 2 == 0 ? 1 : 1 + random() % 200));
      }
      ASSERT_TRUE(both.step(tokens)) << pattern << ", round " << round;
      // From one block into the next.
      for (int i = 0; i < 70; ++i) {
        for (auto& one : tokens) one = ids(1);
        ASSERT_TRUE(both.step(tokens, /*on_device=*/i % 3 == 0))
            << pattern << ", round " << round << ", token " << i;
      }
      if (round % 3 == 1) both.fork(0);
      if (round % 4 == 3) both.remove(both.num_sequences() / 2);
    }
  }
}

// 64 sequences, of which others take part in every step.
TEST_F(SessionGpuTest, MembersOfAStepChange) {
  const torch::NoGradGuard no_grad;
  const Decoders model("sink=1,window=2,stride=3");
  EngineAndEager both(model);
  std::mt19937_64 random(8);
  std::vector<std::vector<int32_t>> tokens;
  for (int n = 0; n < 64; ++n) {
    both.add();
    tokens.push_back(some_ids(1 + n * 29 % 500));
  }
  ASSERT_TRUE(both.step(tokens));
  for (int step = 0; step < 150; ++step) {
    const uint64_t share = 1 + random() % 8;  // of eight
    for (auto& one : tokens) {
      one.clear();
      if (random() % 8 < share) one.push_back(static_cast<int32_t>(random() % 131));
    }
    tokens[0] = {7};
    ASSERT_TRUE(both.step(tokens, /*on_device=*/step % 2 == 0)) << step;
    if (step % 40 == 20) {
      both.remove(30);
      both.fork(3);
    }
  }
}

// Rows of nobody cost no precision.
// Page tables that stay on the GPU are those of the pages where a sequence is now.
TEST_F(SessionGpuTest, ASequenceGoesToTheHostAndComesBackElsewhere) {
  const Decoders decoders("sink=1,window=2,stride=3");
  for (const size_t prompt : {64u * 5, 300u}) {
    Engine engine(decoders.gpu), undisturbed(decoders.gpu);
    HostPages host(engine.pool(), int64_t{64} << 20);
    const std::vector<int32_t> ids = some_ids(500);
    const SequenceId there = undisturbed.add();
    SequenceId here = engine.add();
    const auto same = [&](std::span<const int32_t> tokens) {
      const BatchResult a = undisturbed.step({{there, tokens}}), b = engine.step({{here, tokens}});
      return a.logits_BV.equal(b.logits_BV);
    };
    ASSERT_TRUE(same(std::span(ids).first(prompt)));
    for (size_t i = prompt; i < ids.size(); ++i) {
      ASSERT_TRUE(same(std::span(ids).subspan(i, 1))) << i;
      if (i % 50 != 0) continue;
      const SequenceCache& cache = engine.sequence(here);
      PageCopies out, in;
      std::vector<HeldPage> pages;
      std::vector<PageId> taken;
      ASSERT_TRUE(engine.pool().allocate(cache.num_pages(), taken));
      for (int32_t table = 0; table < engine.layout().num_tables(); ++table) {
        const auto& held = cache.pages(table / 2, table % 2);
        for (int32_t block = 0; block < static_cast<int32_t>(held.size()); ++block) {
          if (held[block] == kNoPage) continue;
          const size_t n = pages.size();
          out.to_host.push_back({held[block], static_cast<HostPageId>(n)});
          in.to_device.push_back({taken[n], static_cast<HostPageId>(n)});
          pages.push_back({table, block, taken[n]});
        }
      }
      host.begin(out);
      host.end();
      const int64_t num_tokens = engine.num_tokens(here);
      engine.remove(here);
      host.begin(in);
      host.end();
      here = engine.adopt(num_tokens, pages);
      for (const PageId page : taken) engine.pool().release(page);
    }
    EXPECT_EQ(engine.pool().pages_in_use(), undisturbed.pool().pages_in_use());
  }
}

TEST_F(SessionGpuTest, PaddedStepsAreLikeTheFullForward) {
  const auto ids = some_ids(300);
  const Decoders model("sink=1,window=2,stride=3");
  const torch::Tensor exact = logits_of(model.exact, ids);
  const double cpu_error = max_abs_diff(logits_of(model.cpu, ids), exact);
  for (const int64_t num_sequences : {3, 5, 33}) {
    Engine engine(model.gpu);
    std::vector<BatchPart> parts;
    for (int64_t n = 0; n < num_sequences; ++n) {
      parts.push_back({engine.add(), std::span(ids).first(100)});
    }
    engine.step(parts);
    for (size_t i = 100; i < ids.size(); ++i) {
      for (BatchPart& part : parts) part.tokens = std::span(ids).subspan(i, 1);
      const torch::Tensor ours = engine.step(parts).logits_BV;
      ASSERT_LE(max_abs_diff(ours, exact.narrow(0, static_cast<int64_t>(i), 1).expand_as(ours)),
                2 * cpu_error + spacing(exact, torch::kBFloat16))
          << num_sequences << " sequences, token " << i;
    }
  }
}

// Graphs that are recorded before there is a sequence, in one memory, and steps that nobody waits
// for, give the same bits.
TEST_F(SessionGpuTest, GraphsMayBeRecordedFirst) {
  const Decoders model("sink");
  const auto ids = some_ids(200);
  std::vector<std::vector<torch::Tensor>> logits(2);
  for (const bool is_server : {false, true}) {
    Engine engine(model.gpu);
    if (is_server) {
      engine.record_graphs(7);
      EXPECT_EQ(engine.pool().pages_in_use(), 0);
    }
    std::vector<SequenceId> sequences;
    for (int n = 0; n < 7; ++n) {
      sequences.push_back(engine.add());
      engine.step({{sequences.back(), std::span(ids).first(100 + n)}});
    }
    for (size_t step = 0; step < 80; ++step) {
      std::vector<BatchPart> parts;
      for (size_t n = 0; n < 1 + step % 7; ++n) {
        parts.push_back({sequences[n], std::span(ids).subspan(110 + step, 1)});
      }
      logits[is_server].push_back(
          engine.step(parts, {.logits_on_device = is_server}).logits_BV.clone());
    }
  }
  for (size_t step = 0; step < logits[0].size(); ++step) {
    EXPECT_TRUE(logits[0][step].equal(logits[1][step].cpu())) << step;
  }
}

// A forked sequence on the GPU writes to a copy of the page that both have.
TEST_F(SessionGpuTest, ForksKeepTheirOwnTokens) {
  const Decoders model("sink=1,window=2,stride=3");
  Engine engine(model.gpu, {.isolate_sequences = true});
  const auto ids = some_ids(250);
  const std::vector<int32_t> one = {7}, other = {90};
  const SequenceId a = engine.add();
  engine.step({{a, ids}});
  const SequenceId b = engine.fork(a, 250).value();
  torch::Tensor last_a, last_b;
  for (int i = 0; i < 70; ++i) {
    const BatchResult result = engine.step({{a, one}, {b, other}});
    last_a = result.logits_BV[0];
    last_b = result.logits_BV[1];
  }
  for (const auto& [token, logits] : {std::pair(one, last_a), std::pair(other, last_b)}) {
    Session session(model.gpu);
    torch::Tensor alone = session.append(ids);
    for (int i = 0; i < 70; ++i) alone = session.append(token);
    EXPECT_TRUE(logits.equal(alone)) << token[0];
  }
  engine.remove(a);
  engine.remove(b);
  EXPECT_EQ(engine.pool().pages_in_use(), 0);
}

TEST_F(SessionGpuTest, AFullPoolLeavesAnEngineAsItWas) {
  const Decoders model("sink");
  const KvLayout layout(model.config, PageType::kBfloat16);
  Engine engine(model.gpu, {.max_kv_bytes = layout.pages_held(128) * layout.page_bytes()});
  const SequenceId a = engine.add(), b = engine.add();
  const auto ids = some_ids(64);
  ASSERT_EQ(engine.step({{a, ids}, {b, ids}}).end, BatchEnd::done);
  const std::vector<int32_t> next = {3};
  const BatchResult full = engine.step({{a, next}, {b, next}});  // a step of a graph
  EXPECT_EQ(full.end, BatchEnd::out_of_pages);
  EXPECT_EQ(full.without_pages, a);
  EXPECT_EQ(engine.num_tokens(a), 64);
  engine.remove(b);
  EXPECT_EQ(engine.step({{a, next}}).end, BatchEnd::done);
}

TEST_F(SessionGpuTest, ScoresAreThoseOfTheCpu) {
  const Decoders model("sink");
  const auto ids = some_ids(300);
  Session on_gpu(model.gpu, 64), on_cpu(model.cpu, 64), exact(model.exact, 64);
  const auto scores = [&](Session& session) {
    const TokenScores scored = score_tokens(session, ids, {.top = 3});
    EXPECT_EQ(scored.top.size(), 299u);
    return torch::tensor(scored.logprobs);
  };
  const torch::Tensor truth = scores(exact);
  EXPECT_LE(max_abs_diff(scores(on_gpu), truth),
            2 * max_abs_diff(scores(on_cpu), truth) + spacing(truth, torch::kBFloat16));
}

TEST_F(SessionGpuTest, ErrorsSayWhatIsWrong) {
  const Decoders model("sink");
  const Decoder floats(model.config, converted(model.weights, at::kFloat, kGpu));
  EXPECT_ERROR(Session{floats}, "on a GPU a model runs in bfloat16");
  Session session(model.gpu);
  const int32_t stranger = 131;
  EXPECT_ERROR(session.append(std::span(&stranger, 1)), "token 131 is not in the model's");
  ModelConfig small = parse(tiny_json());
  EXPECT_ERROR(Decoder(small, random_weights(small, at::kBFloat16, 1, kGpu)),
               "heads of 16 (they have 64 and 128)");
}

TEST_F(SessionGpuTest, MemoryGrowsWithoutMovingAndEnds) {
  constexpr int64_t kPage = 3 << 20, kLimit = int64_t{250} << 20;
  PagePool pool(kPage, kLimit, gpu_cache().new_memory(kGpu, kLimit));
  EXPECT_EQ(pool.device(), kGpu);
  std::vector<PageId> pages;
  const auto values = [&](PageId page) {
    return at::for_blob(pool.address(page), {kPage / 4})
        .options(torch::TensorOptions().dtype(torch::kInt).device(kGpu))
        .target_device(kGpu)
        .make_tensor();
  };
  while (pool.allocate(1, pages)) values(pages.back()).fill_(pages.back() + 1);
  EXPECT_EQ(pages.size(), 83u);
  for (const PageId page : pages) {
    EXPECT_EQ(pool.address(page), pool.address(0) + page * kPage);
    EXPECT_TRUE((values(page) == page + 1).all().item<bool>());
  }
}

}  // namespace
}  // namespace longgen
