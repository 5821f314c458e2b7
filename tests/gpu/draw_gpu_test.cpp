// Tokens drawn on a GPU, against those drawn on the CPU from the same logits; and a server's engine
// whose steps overlap, against one whose steps do not.
#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <limits>
#include <map>
#include <mutex>
#include <random>

#include "longgen/engine/batch_drawer.h"
#include "longgen/engine/engine.h"
#include "longgen/serve/engine_loop.h"
#include "tests/gpu/gpu_test.h"
#include "tests/unit/engine/draw_cases.h"
#include "tests/unit/model/test_support.h"
#include "tests/unit/serve/tiny_server.h"

namespace longgen {
namespace {

using DrawGpuTest = GpuTest;

/// The same sequences drawn on both devices.
class BothDrawers {
 public:
  BothDrawers(int64_t vocab_size, int64_t most)
      : cpu_(batch_drawer(at::kCPU, vocab_size, most)),
        gpu_(batch_drawer(kGpu, vocab_size, most)) {}

  void begin(const DrawCase& of) {
    DrawSettings settings = {.sampling = of.sampling, .barred = of.barred, .num_barred = 2};
    if (of.num_best >= 0) settings.num_logprobs = of.num_best;
    slots_.push_back(cpu_->begin(settings, of.prompt));
    ASSERT_EQ(gpu_->begin(settings, of.prompt), slots_.back());
    whats_.push_back(of.what);
    allowed_.push_back(of.allowed);
  }
  void end_all() {
    for (const int64_t slot : slots_) {
      cpu_->end(slot);
      gpu_->end(slot);
    }
    slots_.clear();
    whats_.clear();
    allowed_.clear();
  }

  /// Returns how many draws failed, on both.
  int expect_same(const at::Tensor& logits_NV) {
    const std::vector<AllowedTokens> allowed(allowed_.begin(), allowed_.end());
    const std::vector<Drawn> expected = cpu_->draw(logits_NV, slots_, allowed)->wait();
    const std::vector<Drawn> found = gpu_->draw(on_gpu(logits_NV), slots_, allowed)->wait();
    const at::Tensor in_slots = gpu_->drawn_S().cpu();
    int num_failed = 0;
    for (size_t n = 0; n < slots_.size(); ++n) {
      EXPECT_EQ(found[n].error, expected[n].error) << whats_[n];
      EXPECT_EQ(found[n].token, expected[n].token) << whats_[n];
      EXPECT_EQ(in_slots[slots_[n]].item<int64_t>(), expected[n].token) << whats_[n];
      num_failed += expected[n].error.empty() ? 0 : 1;
      expect_same_logprobs(found[n].logprobs, expected[n].logprobs, logits_NV[n], whats_[n]);
    }
    return num_failed;
  }

 private:
  /// The CPU rounds logprobs to fp32, so that of nearly equal logits another one may be first
  /// there; the GPU's order is that of the logits, and of ids where these are equal.
  static void expect_same_logprobs(const std::optional<TokenLogprobs>& found,
                                   const std::optional<TokenLogprobs>& expected,
                                   const at::Tensor& logits_V, const std::string& what) {
    ASSERT_EQ(found.has_value(), expected.has_value()) << what;
    if (!found) return;
    const auto expect_near = [&](double a, double b) {
      if (std::isinf(b)) {
        EXPECT_EQ(a, b) << what;
      } else {
        EXPECT_NEAR(a, b, 1e-5 * (1 + std::abs(b))) << what;
      }
    };
    expect_near(found->logprob, expected->logprob);
    ASSERT_EQ(found->best.size(), expected->best.size()) << what;
    for (size_t i = 0; i < found->best.size(); ++i) {
      expect_near(found->best[i].logprob, expected->best[i].logprob);
      if (i == 0) continue;
      const int32_t a = found->best[i - 1].token, b = found->best[i].token;
      const float of_a = logits_V[a].item<float>(), of_b = logits_V[b].item<float>();
      EXPECT_TRUE(of_a > of_b || (of_a == of_b && a < b)) << what << ", best " << i;
    }
  }

  std::unique_ptr<BatchDrawer> cpu_, gpu_;
  std::vector<int64_t> slots_;
  std::vector<std::string> whats_;
  std::vector<std::vector<uint32_t>> allowed_;  // tokens, of each sequence
};

at::Tensor row_of(const std::vector<float>& logits) {
  return at::from_blob(const_cast<float*>(logits.data()), {std::ssize(logits)}).clone();
}

class RandomBatches {
 public:
  /// Draws for `count` new sequences of all options and shapes of logits.
  void expect_same(int64_t vocab_size, int count, int num_draws) {
    const int64_t num_known = vocab_size - vocab_size / 100;
    BothDrawers both(num_known, count);
    std::vector<at::Tensor> rows;
    for (int n = 0; n < count; ++n) {
      DrawCase of = random_draw_case(random_, 5 * round_++, static_cast<size_t>(vocab_size));
      const auto known = [&](int32_t id) { return id % static_cast<int32_t>(num_known); };
      for (int32_t& id : of.prompt) id = known(id);
      for (LogitBias& bias : of.sampling.logit_bias) bias.token = known(bias.token);
      both.begin(of);
      rows.push_back(row_of(of.logits));
    }
    at::Tensor logits_NV = at::stack(rows);
    for (int draw = 0; draw < num_draws; ++draw) {
      both.expect_same(logits_NV);
      logits_NV = logits_NV.roll(1, 1);
    }
  }

 private:
  std::mt19937_64 random_{31};
  int round_ = 0;
};

TEST_F(DrawGpuTest, AFewRowsAreThoseOfTheCpu) { RandomBatches().expect_same(300, 12, 2); }

TEST_F(DrawGpuTest, TokensAreThoseOfTheCpu) {
  RandomBatches batches;
  for (const int64_t vocab_size : {1, 2, 100, 300, 1000, 4099, 32'000}) {
    for (const int count : {64, 1, 33}) batches.expect_same(vocab_size, count, 6);
  }
  for (const int64_t vocab_size : {151'669, 262'144}) batches.expect_same(vocab_size, 64, 6);
}

TEST_F(DrawGpuTest, SlotsAreGivenOutAgain) {
  BothDrawers both(100, 2);
  for (int round = 0; round < 3; ++round) {
    for (int n = 0; n < 2; ++n) {
      DrawCase of;
      of.sampling = {.repetition_penalty = 1.5, .presence_penalty = 1, .temperature = 0};
      of.prompt = {3 * round, 7};
      both.begin(of);
    }
    const at::Tensor logits_NV = at::linspace(3, 1, 100).expand({2, 100});
    for (int draw = 0; draw < 10; ++draw) both.expect_same(logits_NV);
    both.end_all();
  }
}

TEST_F(DrawGpuTest, EqualLogitsNeedEveryBit) {
  BothDrawers both(262'144, 4);
  for (const double top_p : {1.0, 1 - 0x1p-53, 0.3}) {
    DrawCase of;
    of.sampling = {.top_k = top_p < 0.5 ? 70'001 : 0, .top_p = top_p, .seed = 5};
    of.num_best = 20;
    both.begin(of);
  }
  for (int step = 0; step < 20; ++step) both.expect_same(at::full({3, 262'144}, -3.0));
}

TEST_F(DrawGpuTest, BadLogitsFailTheirRowAlone) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const float nan = std::numeric_limits<float>::quiet_NaN();
  BothDrawers both(5, 8);
  for (int n = 0; n < 6; ++n) {
    DrawCase of;
    of.sampling = {.temperature = n % 2 == 0 ? 0.0 : 1.0, .seed = 3};
    if (n == 5) of.barred = {0, 1, 2, 3, 4};
    of.num_best = 2;
    of.what = "row " + std::to_string(n);
    both.begin(of);
  }
  const at::Tensor logits_NV =
      at::tensor({1.0F,       2.0F,       3.0F,       nan,        0.0F,        //
                  1.0F,       kInfinity,  nan,        1.0F,       0.0F,        //
                  -kInfinity, -kInfinity, -kInfinity, -kInfinity, -kInfinity,  //
                  1.0F,       2.0F,       3.0F,       4.0F,       5.0F,        //
                  -kInfinity, -0.0F,      0.0F,       -kInfinity, -kInfinity,  //
                  1.0F,       2.0F,       3.0F,       4.0F,       5.0F})
          .view({6, 5});
  EXPECT_EQ(both.expect_same(logits_NV), 4);
  EXPECT_EQ(both.expect_same(at::ones({6, 5})), 1) << "barred in the second draw, too";
  EXPECT_EQ(both.expect_same(at::ones({6, 5})), 0);
}

TEST_F(DrawGpuTest, TwoRunsAreEqual) {
  const at::Tensor logits_NV = on_gpu(at::randn({32, 50'000}));
  const auto draws = [&] {
    const auto drawer = batch_drawer(kGpu, 50'000, 32);
    std::vector<int64_t> slots;
    DrawSettings settings;
    settings.sampling = {.top_k = 5000, .top_p = 0.9};
    settings.num_logprobs = 5;
    for (uint64_t n = 0; n < 32; ++n) {
      settings.sampling.seed = n;
      slots.push_back(drawer->begin(settings, {}));
    }
    std::vector<std::pair<int32_t, double>> all;
    for (int step = 0; step < 5; ++step) {
      for (const Drawn& drawn : drawer->draw(logits_NV, slots)->wait()) {
        all.emplace_back(drawn.token, drawn.logprobs->logprob);
      }
    }
    return all;
  };
  EXPECT_EQ(draws(), draws());
}

/// A hybrid whose heads a GPU takes.
struct GpuModel {
  GpuModel()
      : config(make_config()), decoder(config, random_weights(config, at::kBFloat16, 5, kGpu)) {}
  static ModelConfig make_config() {
    Json json = tiny_json();
    json["head_dim"] = 64;
    json["vocab_size"] = kVocab;
    json["initializer_range"] = 0.1;
    ModelConfig config = parse(json);
    config.layers =
        LayerPlan::hybrid(config.num_layers, {1}, Pattern::parse("sink=1,window=2,stride=3"));
    return config;
  }
  ModelConfig config;
  Decoder decoder;
};

// Tokens that nobody has seen give the same logits as those that somebody has.
TEST_F(DrawGpuTest, ATokenInASlotIsTheToken) {
  const GpuModel model;
  Engine engine(model.decoder);
  const auto drawer = batch_drawer(kGpu, kVocab, 3);
  std::vector<SequenceId> sequences, twins;
  std::vector<int64_t> slots;
  for (int64_t n = 0; n < 3; ++n) {
    const std::vector<int32_t> prompt = some_ids(20 + 30 * n);
    sequences.push_back(engine.add());
    twins.push_back(engine.add());
    slots.push_back(drawer->begin({.sampling = {.seed = 7 + static_cast<uint64_t>(n)}}, prompt));
    engine.step({{twins.back(), prompt}});
    const BatchResult result =
        engine.step({{sequences.back(), prompt}}, {.logits_on_device = true});
    drawer->draw(result.logits_BV, std::span(slots).last(1))->wait();
  }
  for (int step = 0; step < 70; ++step) {
    std::vector<int32_t> drawn;
    const at::Tensor drawn_S = drawer->drawn_S().cpu();
    for (const int64_t slot : slots) {
      drawn.push_back(static_cast<int32_t>(drawn_S[slot].item<int64_t>()));
    }
    const std::vector<int32_t> in_slots = {token_in_slot(slots[0]), token_in_slot(slots[1]),
                                           token_in_slot(slots[2])};
    // Every third step goes layer by layer.
    BatchOptions options = {.logits_on_device = true, .drawn_S = drawer->drawn_S()};
    if (step % 3 == 2) options.on_layer = [](int64_t) { return true; };
    const auto parts = [](const std::vector<SequenceId>& of, const std::vector<int32_t>& tokens) {
      std::vector<BatchPart> all;
      for (size_t n = 0; n < 3; ++n) all.push_back({of[n], std::span(tokens).subspan(n, 1)});
      return all;
    };
    const at::Tensor expected = engine.step(parts(twins, drawn), options).logits_BV.clone();
    const at::Tensor found = engine.step(parts(sequences, in_slots), options).logits_BV;
    ASSERT_TRUE(found.equal(expected)) << "step " << step;
    drawer->draw(found, slots);
  }
}

/// The replies of an engine's thread to requests that are posted at once, or one after the other.
std::map<RequestId, ServedReply> replies(const Decoder& decoder, const ServingOptions& options,
                                         const std::vector<Submit>& submits, bool at_once,
                                         EngineState* last_state = nullptr) {
  std::map<RequestId, ServedReply> all;
  std::mutex mutex;
  std::condition_variable changed;
  EngineLoop loop(decoder, options, [&](std::vector<EngineEvent> events) {
    const std::lock_guard lock(mutex);
    for (const EngineEvent& event : events) {
      std::visit([&](const auto& what) { all[event.request].add(what); }, event.what);
    }
    changed.notify_all();
  });
  const auto wait = [&](const Submit& submit) {
    std::unique_lock lock(mutex);
    EXPECT_TRUE(changed.wait_for(lock, std::chrono::seconds(60),
                                 [&] { return all[submit.request.id].num_ends > 0; }))
        << "request " << submit.request.id << " hangs";
  };
  for (const Submit& submit : submits) {
    loop.post(submit);
    if (!at_once) wait(submit);
  }
  for (const Submit& submit : submits) wait(submit);
  loop.drain(60);
  const EngineState state = loop.state();
  EXPECT_EQ(state.failure, "");
  EXPECT_EQ(state.in_use, state.cached);
  EXPECT_EQ(state.reserved, 0);
  EXPECT_GT(state.measured_seconds, 0);
  if (last_state != nullptr) *last_state = state;
  return all;
}

std::vector<Submit> some_submits(uint64_t most_prompt_tokens) {
  std::mt19937_64 random(4);
  std::vector<Submit> all;
  for (RequestId id = 0; id < 24; ++id) {
    Submit submit =
        TinyServer::request(id, some_ids(static_cast<int64_t>(1 + random() % most_prompt_tokens)),
                            static_cast<int64_t>(20 + random() % 60));
    submit.request.reads_prefixes = false;
    SamplingOptions& sampling = submit.draw.sampling;
    if (id % 3 > 0) sampling = {.temperature = 0.9, .top_p = 0.95, .seed = random()};
    if (id % 3 > 1) sampling.repetition_penalty = 1.2;
    if (id % 5 == 0) sampling.logit_bias = {{3, 2.0}};
    if (id % 4 == 0) submit.draw.num_logprobs = 3;
    for (int i = 0; i < 6; ++i) {
      submit.draw.stop_tokens.push_back(static_cast<int32_t>(random() % kVocab));
    }
    submit.draw.min_tokens = 4;
    all.push_back(submit);
  }
  return all;
}

TEST_F(DrawGpuTest, OverlapChangesNoToken) {
  const GpuModel model;
  const std::vector<Submit> submits = some_submits(500);
  ServingOptions options = tiny_serving_options();
  options.overlaps = false;
  const auto expected = replies(model.decoder, options, submits, /*at_once=*/false);
  options.overlaps = true;
  const auto found = replies(model.decoder, options, submits, /*at_once=*/false);
  int num_stopped = 0;
  for (const Submit& submit : submits) {
    const RequestId id = submit.request.id;
    EXPECT_EQ(found.at(id).failure, "");
    EXPECT_EQ(found.at(id).tokens, expected.at(id).tokens) << "request " << id;
    EXPECT_EQ(found.at(id).end, expected.at(id).end) << "request " << id;
    num_stopped += found.at(id).end == RequestEnd::stop_token ? 1 : 0;
  }
  EXPECT_GT(num_stopped, 3) << "too few cases where a row was thrown away";
}

// Sequences that no neighbour changes a bit of, and prompts that are one chunk whatever is planned
// beside them.
TEST_F(DrawGpuTest, OverlapChangesNoTokenOfManyAtOnce) {
  const GpuModel model;
  const std::vector<Submit> submits = some_submits(64);
  ServingOptions options = tiny_serving_options();
  options.engine.isolate_sequences = true;
  options.overlaps = false;
  const auto expected = replies(model.decoder, options, submits, /*at_once=*/true);
  options.overlaps = true;
  const auto found = replies(model.decoder, options, submits, /*at_once=*/true);
  for (const Submit& submit : submits) {
    const RequestId id = submit.request.id;
    EXPECT_EQ(found.at(id).tokens, expected.at(id).tokens) << "request " << id;
  }
}

/// A pool for so many sequences of num_tokens, and a host for more.
ServingOptions small_pool(const Decoder& decoder, int64_t num_tokens, int64_t num_sequences) {
  const KvLayout layout(decoder.config(), PageType::kBfloat16);
  const int64_t bytes = layout.pages_peak(0, num_tokens, Pattern::kBlock) * layout.page_bytes();
  ServingOptions options = tiny_serving_options();
  options.engine.max_kv_bytes = num_sequences * bytes + bytes / 4;
  options.host_cache_bytes = 20 * bytes;
  return options;
}

TEST_F(DrawGpuTest, PrefixesFromTheHostGiveTheTokensOfThoseFromTheGpu) {
  const GpuModel model;
  std::vector<Submit> submits;
  for (RequestId id = 0; id < 10; ++id) {
    std::mt19937_64 random(static_cast<uint64_t>(id % 5));
    submits.push_back(TinyServer::request(id, random_ids(random, 300), 20));
  }
  const auto expected = replies(model.decoder, tiny_serving_options(), submits, /*at_once=*/false);
  EngineState state;
  const auto found = replies(model.decoder, small_pool(model.decoder, 360, 1), submits,
                             /*at_once=*/false, &state);
  for (RequestId id = 0; id < 10; ++id) {
    EXPECT_EQ(found.at(id).cached_tokens, id < 5 ? 0 : 256) << "request " << id;
    EXPECT_EQ(found.at(id).tokens, expected.at(id).tokens) << "request " << id;
  }
  EXPECT_GE(state.host_hit_tokens, 4 * 256);
}

TEST_F(DrawGpuTest, WhoWasOnTheHostDrawsTheSameTokens) {
  const GpuModel model;
  std::vector<Submit> submits = some_submits(60);
  for (Submit& submit : submits) {
    submit.request.max_new_tokens = 300;
    submit.draw.stop_tokens.clear();
    submit.draw.min_tokens = 0;
  }
  ServingOptions options = tiny_serving_options();
  options.engine.isolate_sequences = true;
  const auto expected = replies(model.decoder, options, submits, /*at_once=*/true);
  options = small_pool(model.decoder, 360, 3);
  options.engine.isolate_sequences = true;
  options.overcommit = 4;
  EngineState state;
  const auto found = replies(model.decoder, options, submits, /*at_once=*/true, &state);
  for (const Submit& submit : submits) {
    const RequestId id = submit.request.id;
    EXPECT_EQ(found.at(id).tokens, expected.at(id).tokens) << "request " << id;
  }
  EXPECT_GT(state.num_preemptions, 0);
}

}  // namespace
}  // namespace longgen
