// Attention over the paged cache against attention over whole sequences.
#include "longgen/kv_cache/cached_context.h"
#include "longgen/kv_cache/page_scalar.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <limits>
#include <thread>

#include "longgen/attention/cpu/items.h"
#include "longgen/base/check.h"
#include "tests/numerics/attend_cases.h"
#include "tests/unit/error_text.h"
#include "tests/unit/kv_cache/brute_force.h"

namespace longgen {
namespace {

struct Model {
  int64_t num_layers = 3, num_heads = 6, num_kv_heads = 3, head_size = 32;
  LayerPlan plan;
  torch::ScalarType type = torch::kFloat;

  KvShape shape() const { return {num_layers, num_kv_heads, head_size, page_type(type)}; }
  Pattern pattern(int64_t layer) const { return plan.pattern(layer, num_kv_heads); }
};

/// Queries, keys and values of every layer of one sequence.
std::vector<Qkv> random_layers(const Model& model, int64_t num_tokens, int64_t seed) {
  torch::manual_seed(seed);
  std::vector<Qkv> layers;
  const auto random = [&](int64_t heads) {
    return torch::randn({num_tokens, heads, model.head_size}).to(model.type);
  };
  for (int64_t layer = 0; layer < model.num_layers; ++layer) {
    layers.push_back(
        {random(model.num_heads), random(model.num_kv_heads), random(model.num_kv_heads)});
  }
  return layers;
}

torch::Tensor rows_of(const torch::Tensor& x, int64_t begin, int64_t count) {
  return x.narrow(0, begin, count);
}

/// One pass over the next `count` tokens of a sequence; outputs of every layer.
std::vector<torch::Tensor> pass(const Model& model, const std::vector<Qkv>& layers,
                                SequenceCache& cache, int64_t count) {
  CachedContext context;
  LG_CHECK(context.begin({{&cache, count}}), "the pool is full");
  const int64_t begin = cache.length();
  EXPECT_TRUE(context.positions_T().equal(torch::arange(begin, begin + count)));
  std::vector<torch::Tensor> out;
  for (int64_t layer = 0; layer < model.num_layers; ++layer) {
    const Qkv& x = layers[layer];
    out.push_back(context.attend({layer, model.pattern(layer)}, rows_of(x.q_THD, begin, count),
                                 rows_of(x.k_SKD, begin, count), rows_of(x.v_SKD, begin, count)));
  }
  context.commit();
  return out;
}

/// The whole sequence, in chunks of next_chunk() tokens.
std::vector<torch::Tensor> in_chunks(const Model& model, const std::vector<Qkv>& layers,
                                     SequenceCache& cache,
                                     const std::function<int64_t()>& next_chunk) {
  const int64_t num_tokens = layers[0].q_THD.size(0);
  std::vector<std::vector<torch::Tensor>> chunks(model.num_layers);
  while (cache.length() < num_tokens) {
    const auto out =
        pass(model, layers, cache, std::min(next_chunk(), num_tokens - cache.length()));
    for (int64_t layer = 0; layer < model.num_layers; ++layer) chunks[layer].push_back(out[layer]);
    EXPECT_EQ(cache.kv_bytes(), cache.layout().kv_bytes(cache.length()));
  }
  std::vector<torch::Tensor> whole;
  for (const auto& layer : chunks) whole.push_back(torch::cat(layer));
  return whole;
}

/// The truth in fp64, and how wrong a layer's output may be: twice as wrong as attend() on the
/// whole sequence, in the same dtype.
class Expected {
 public:
  Expected(const Model& model, const std::vector<Qkv>& layers) {
    for (int64_t layer = 0; layer < model.num_layers; ++layer) {
      const Qkv& x = layers[layer];
      const Pattern pattern = model.pattern(layer);
      const Qkv y = x.to(torch::kDouble);
      const Attended truth = attend_reference(y.q_THD, y.k_SKD, y.v_SKD, pattern);
      const torch::Tensor one_pass = attend(x.q_THD, x.k_SKD, x.v_SKD, pattern).out_THD;
      truths_.push_back(truth.out_THD);
      bounds_.push_back(2 * max_abs_diff(one_pass, truth.out_THD) +
                        forward_floor(truth, model.type));
    }
  }
  void compare(const std::vector<torch::Tensor>& out, const std::string& name) const {
    for (size_t layer = 0; layer < truths_.size(); ++layer) {
      EXPECT_LE(max_abs_diff(out[layer], truths_[layer]), bounds_[layer])
          << name << ", layer " << layer;
    }
  }

 private:
  std::vector<torch::Tensor> truths_;
  std::vector<double> bounds_;
};

/// Most tests run on one thread, so that they take no time from each other under ctest -j.
class OneThread : public testing::Environment {
 public:
  void SetUp() override { at::set_num_threads(1); }
};
[[maybe_unused]] const auto* const kOneThread =
    testing::AddGlobalTestEnvironment(new OneThread);  // owned by GoogleTest

std::vector<std::string> patterns_with_random() {
  std::vector<std::string> patterns = sparse_patterns();
  std::mt19937_64 random(5);
  for (int i = 0; i < 3; ++i) {
    patterns.push_back("sink=" + std::to_string(random() % 3) +
                       ",window=" + std::to_string(1 + random() % 6) +
                       ",stride=" + std::to_string(random() % 7));
  }
  return patterns;
}

class CachedContextTest : public testing::TestWithParam<torch::ScalarType> {};

TEST_P(CachedContextTest, ChunksAreLikeOnePass) {
  for (const std::string& sparse : patterns_with_random()) {
    Model model;
    model.num_layers = 2;
    model.plan = plan_of(2, {1}, sparse);
    model.type = GetParam();
    const KvLayout layout(model.plan, model.shape());
    PagePool pool(layout.page_bytes());
    // Past a window of 16 blocks, or of the smaller ones.
    const int64_t num_tokens = model.plan.sparse().window_blocks() == 16 ? 1391 : 1007;
    const auto layers = random_layers(model, num_tokens, 1);
    const Expected expected(model, layers);
    for (const int64_t chunk : {1, 63, 64, 1000, 2000}) {
      SequenceCache cache(layout, pool);
      expected.compare(in_chunks(model, layers, cache, [&] { return chunk; }),
                       sparse + " in chunks of " + std::to_string(chunk));
    }
    std::mt19937_64 random(9);
    for (int trial = 0; trial < 3; ++trial) {
      SequenceCache cache(layout, pool);
      const auto next = [&] {
        return static_cast<int64_t>(1 + random() % (random() % 3 == 0 ? 3 : 250));
      };
      expected.compare(in_chunks(model, layers, cache, next), sparse + " in random chunks");
    }
    EXPECT_EQ(pool.pages_in_use(), 0);
  }
}

// Freed pages go to a neighbour that writes nothing but NaN. Whoever reads them, or reads past its
// own rows into a result, shows it. Head sizes 36 and 80 are no multiples of the vectors.
TEST_P(CachedContextTest, NeighbourFullOfNanChangesNothing) {
  for (const int64_t head_size : {36, 64, 80}) {
    Model model;
    model.head_size = head_size;
    model.plan = plan_of(3, {2}, "sink=1,window=2,stride=5");
    model.type = GetParam();
    const KvLayout layout(model.plan, model.shape());
    PagePool pool(layout.page_bytes());
    const auto layers = random_layers(model, 900, 2);
    auto nans = random_layers(model, 900, 2);
    for (Qkv& x : nans) x.k_SKD.fill_(NAN), x.v_SKD.fill_(NAN);
    SequenceCache cache(layout, pool), neighbour(layout, pool);
    (void)in_chunks(model, nans, neighbour, [] { return 70; });
    neighbour.clear();  // its pages, full of NaN, are given out again
    const auto out = in_chunks(model, layers, cache, [&] {
      const int64_t count = 1 + cache.length() % 67;
      if (neighbour.length() + count <= 900) (void)pass(model, nans, neighbour, count);
      return count;
    });
    Expected(model, layers).compare(out, "head size " + std::to_string(head_size));
  }
}

// Full layers, sparse ones and windows that begin and end within blocks, in one model.
TEST_P(CachedContextTest, ThreeClassesInChunksAreLikeOnePass) {
  for (const int64_t window_tokens : {1, 5, 63, 64, 65, 100, 512}) {
    Model model;
    model.num_layers = 6;
    model.plan = three_classes("sink=1,window=2,stride=5", window_tokens);
    model.type = GetParam();
    const KvLayout layout(model.plan, model.shape());
    PagePool pool(layout.page_bytes());
    const auto layers = random_layers(model, 700, 1);
    const Expected expected(model, layers);
    for (const int64_t chunk : {1, 63, 64, 300, 1000}) {
      SequenceCache cache(layout, pool);
      expected.compare(in_chunks(model, layers, cache, [&] { return chunk; }),
                       "window of " + std::to_string(window_tokens) + " tokens in chunks of " +
                           std::to_string(chunk));
    }
    EXPECT_EQ(pool.pages_in_use(), 0);
  }
}

TEST_P(CachedContextTest, PaddedGroupsAndGroupedHeads) {
  Model model;
  model.num_layers = 17;  // groups of 6, the last with a free slot
  model.num_heads = 8;
  model.num_kv_heads = 1;
  model.plan = plan_of(17, {5, 6, 7, 8, 9, 10}, "sink=1,window=2,stride=3");
  model.type = GetParam();
  const KvLayout layout(model.plan, model.shape());
  ASSERT_EQ(layout.layers_per_group(), 6);
  PagePool pool(layout.page_bytes());
  SequenceCache cache(layout, pool);
  const auto layers = random_layers(model, 400, 3);
  Expected(model, layers).compare(in_chunks(model, layers, cache, [] { return 90; }), "17 layers");
}

INSTANTIATE_TEST_SUITE_P(, CachedContextTest, testing::Values(torch::kFloat, torch::kBFloat16),
                         [](const auto& type) { return std::string(c10::toString(type.param)); });

Model small_model() {
  Model model;
  model.plan = plan_of(3, {0}, "sink=1,window=2,stride=0");
  return model;
}

// Rows of k and v come from one matrix with q in the decoder: they do not stand side by side.
TEST(CachedContext, RowsWithGaps) {
  const Model model = small_model();
  const KvLayout layout(model.plan, model.shape());
  PagePool pool(layout.page_bytes());
  SequenceCache cache(layout, pool);
  auto layers = random_layers(model, 300, 4);
  for (Qkv& x : layers) {
    const torch::Tensor qkv = torch::cat({x.q_THD, x.k_SKD, x.v_SKD}, 1);
    x = {qkv.narrow(1, 0, 6), qkv.narrow(1, 6, 3), qkv.narrow(1, 9, 3)};
  }
  Expected(model, layers).compare(in_chunks(model, layers, cache, [] { return 100; }), "gaps");
}

TEST(CachedContext, SeveralSequencesInOnePass) {
  const Model model = small_model();
  const KvLayout layout(model.plan, model.shape());
  PagePool pool(layout.page_bytes());
  const std::vector<int64_t> lengths = {0, 130, 64, 1500}, counts = {100, 1, 0, 37};
  std::vector<std::vector<Qkv>> inputs;
  std::vector<std::vector<torch::Tensor>> alone;
  std::vector<std::unique_ptr<SequenceCache>> caches;
  std::vector<CachedContext::Part> parts;
  for (size_t s = 0; s < lengths.size(); ++s) {
    inputs.push_back(random_layers(model, lengths[s] + counts[s], 10 + static_cast<int64_t>(s)));
    SequenceCache single(layout, pool);
    caches.push_back(std::make_unique<SequenceCache>(layout, pool));
    if (lengths[s] > 0) {
      (void)pass(model, inputs[s], single, lengths[s]);
      (void)pass(model, inputs[s], *caches[s], lengths[s]);
    }
    alone.push_back(pass(model, inputs[s], single, counts[s]));
    parts.push_back({caches[s].get(), counts[s]});
  }
  CachedContext context;
  ASSERT_TRUE(context.begin(parts));
  EXPECT_TRUE(context.positions_T().equal(
      torch::cat({torch::arange(100), torch::arange(130, 131), torch::arange(1500, 1537)})));
  for (int64_t layer = 0; layer < model.num_layers; ++layer) {
    std::vector<torch::Tensor> q, k, v, expected;
    for (size_t s = 0; s < lengths.size(); ++s) {
      const Qkv& x = inputs[s][layer];
      q.push_back(rows_of(x.q_THD, lengths[s], counts[s]));
      k.push_back(rows_of(x.k_SKD, lengths[s], counts[s]));
      v.push_back(rows_of(x.v_SKD, lengths[s], counts[s]));
      expected.push_back(alone[s][layer]);
    }
    const torch::Tensor out =
        context.attend({layer, model.pattern(layer)}, torch::cat(q), torch::cat(k), torch::cat(v));
    EXPECT_TRUE(out.equal(torch::cat(expected))) << layer;
  }
  context.commit();
  int64_t expected_pages = 0;
  for (size_t s = 0; s < lengths.size(); ++s) {
    EXPECT_EQ(caches[s]->length(), lengths[s] + counts[s]);
    expected_pages += layout.pages_held(lengths[s] + counts[s]);
  }
  EXPECT_EQ(pool.pages_in_use(), expected_pages);
}

TEST(CachedContext, ExhaustedPoolAndFailedPassesLeaveTheSequenceAsItWas) {
  const Model model = small_model();
  const KvLayout layout(model.plan, model.shape());
  PagePool pool(layout.page_bytes(), 60 * layout.page_bytes());
  const auto layers = random_layers(model, 300, 6);
  SequenceCache untouched(layout, pool), cache(layout, pool);
  const auto expected_first = pass(model, layers, untouched, 200);
  const auto expected = pass(model, layers, untouched, 100);
  untouched.clear();
  (void)pass(model, layers, cache, 200);
  const int64_t in_use = pool.pages_in_use();

  CachedContext context;
  EXPECT_FALSE(context.begin({{&cache, 5000}}));
  // The second sequence does not fit any more; the first gives its pages back.
  EXPECT_FALSE(context.begin({{&cache, 100}, {&untouched, 2000}}));
  EXPECT_EQ(pool.pages_in_use(), in_use);
  EXPECT_EQ(cache.reserved(), 0);
  {
    CachedContext abandoned;
    ASSERT_TRUE(abandoned.begin({{&cache, 100}}));
    EXPECT_GT(pool.pages_in_use(), in_use);
    const Qkv wrong = random_layers(model, 100, 7)[0];  // overwrites rows behind the sequence's end
    (void)abandoned.attend({0, model.pattern(0)}, wrong.q_THD, wrong.k_SKD, wrong.v_SKD);
    EXPECT_THROW((abandoned.attend({1, model.pattern(1)}, wrong.q_THD, wrong.q_THD, wrong.v_SKD)),
                 Error);
  }
  EXPECT_EQ(pool.pages_in_use(), in_use);
  EXPECT_EQ(cache.length(), 200);
  const auto out = pass(model, layers, cache, 100);
  for (int64_t layer = 0; layer < model.num_layers; ++layer) {
    EXPECT_TRUE(out[layer].equal(expected[layer])) << layer;
  }
}

TEST(CachedContext, SameBitsWithAnyNumberOfThreads) {
  const Model model = small_model();
  const KvLayout layout(model.plan, model.shape());
  PagePool pool(layout.page_bytes());
  const auto layers = random_layers(model, 1100, 8);
  const int threads = at::get_num_threads();
  std::vector<std::vector<torch::Tensor>> results;
  for (const int count : {1, 2, 3}) {
    at::set_num_threads(count);
    SequenceCache cache(layout, pool);
    const auto next = [&] { return cache.length() < 1080 ? int64_t{360} : int64_t{1}; };
    results.push_back(in_chunks(model, layers, cache, next));
  }
  at::set_num_threads(threads);
  for (int64_t layer = 0; layer < model.num_layers; ++layer) {
    EXPECT_TRUE(results[0][layer].equal(results[1][layer]));
    EXPECT_TRUE(results[0][layer].equal(results[2][layer]));
  }
}

// at::parallel_for is a template: in a folder that is compiled without OpenMP it is a plain loop.
TEST(CachedContext, WorkReallyRunsOnTwoThreads) {
  const int threads = at::get_num_threads();
  at::set_num_threads(2);
  std::atomic<int> arrived = 0;
  std::vector<std::thread::id> ids(2);
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  cpu::for_each_item(
      2, [] { return 0; },
      [&](int, int64_t item) {
        ids[item] = std::this_thread::get_id();
        ++arrived;  // waits for the other item, so that another thread must take it
        while (arrived < 2 && std::chrono::steady_clock::now() < limit) std::this_thread::yield();
      });
  at::set_num_threads(threads);
  EXPECT_NE(ids[0], ids[1]);
}

TEST(CachedContext, ErrorsSayWhatIsWrong) {
  const Model model = small_model();
  const KvLayout layout(model.plan, model.shape()), same(model.plan, model.shape());
  PagePool pool(layout.page_bytes());
  SequenceCache cache(layout, pool), stranger(same, pool);
  const Qkv x = random_layers(model, 2, 9)[0];
  CachedContext context;
  const auto attend_layer = [&](int64_t layer, const Qkv& y, const Pattern& pattern) {
    return error_of([&] { (void)context.attend({layer, pattern}, y.q_THD, y.k_SKD, y.v_SKD); });
  };
  EXPECT_EQ(attend_layer(0, x, Pattern()),
            "[cached context] attend() without a pass. Call begin() first.");
  EXPECT_EQ(error_of([&] { context.commit(); }),
            "[cached context] commit() without a pass. Call begin() first.");
  EXPECT_EQ(error_of([&] {
              (void)context.begin({{&cache, 1}, {&stranger, 1}});
            }),
            "[cached context] the sequences of one pass must share one layout.");
  EXPECT_EQ(error_of([&] {
              (void)context.begin({{&cache, 1}, {&cache, 1}});
            }),
            "[kv cache] 1 tokens are reserved already. Commit or cancel them first.");
  ASSERT_TRUE(context.begin({{&cache, 2}}));  // the failed begin() left nothing behind
  EXPECT_EQ(attend_layer(3, x, Pattern()),
            "[cached context] layer 3 of a model with layers 0 to 2.");
  EXPECT_EQ(
      attend_layer(1, x, Pattern()),
      "[cached context] layer 1 attends with full, but the cache keeps what "
      "sink=1,window=2,stride=0 sees (or other stride offsets). Make the layout from the model's "
      "config.");
  EXPECT_EQ(
      attend_layer(0, x.to(torch::kBFloat16), Pattern()),
      "[cached context] expected q, k and v of 2 tokens, 3 KV heads of 32, Float on cpu, rows "
      "contiguous, found\n  q [2, 6, 32] BFloat16 cpu | k [2, 3, 32] BFloat16 cpu | v [2, 3, 32] "
      "BFloat16 cpu\n  The cache must be made for this model and dtype.");
  const auto mismatch = [&](const Qkv& y) {
    return attend_layer(0, y, Pattern()).find("expected q, k and v of 2 tokens") !=
           std::string::npos;
  };
  EXPECT_TRUE(mismatch(random_layers(model, 3, 9)[0]));
  EXPECT_TRUE(mismatch({x.q_THD.narrow(1, 0, 4), x.k_SKD, x.v_SKD}));
  EXPECT_TRUE(mismatch({x.q_THD, x.k_SKD, x.v_SKD.narrow(1, 0, 2)}));
  EXPECT_TRUE(mismatch({x.q_THD, x.k_SKD.transpose(0, 2).contiguous().transpose(0, 2), x.v_SKD}));
  EXPECT_TRUE(mismatch({x.q_THD.flatten(1), x.k_SKD, x.v_SKD}));
}

TEST(PageScalar, PagesHoldWhatModelsCompute) {
  for (const at::ScalarType dtype : {at::kFloat, at::kBFloat16}) {
    EXPECT_EQ(scalar_type(page_type(dtype)), dtype);
    EXPECT_EQ(page_format(page_type(dtype)).value_bytes,
              static_cast<int64_t>(c10::elementSize(dtype)));
  }
  EXPECT_EQ(error_of([] { page_type(at::kHalf); }),
            "[kv cache] pages hold float32 or bfloat16, found Half.");
}

}  // namespace
}  // namespace longgen
