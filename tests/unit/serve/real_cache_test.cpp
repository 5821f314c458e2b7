// What the ledger reserves and the prefix cache hands out, against the pages that the paged cache
// really takes.
#include <gtest/gtest.h>

#include "longgen/kv_cache/page_demand.h"
#include "longgen/kv_cache/sequence_cache.h"
#include "longgen/plan/memory.h"
#include "longgen/plan/presets.h"
#include "tests/unit/kv_cache/brute_force.h"

namespace longgen {
namespace {

TEST(PageDemandOfTheCache, IsWhatAForkTakesOfItsOwn) {
  std::mt19937_64 random(6);
  for (const std::string& sparse : sparse_patterns()) {
    const KvLayout layout(plan_of(3, {1}, sparse), {3, 2, 16, PageType::kFloat32});
    const PageDemand demand(layout);
    for (int trial = 0; trial < 8; ++trial) {
      PagePool pool(layout.page_bytes());
      SequenceCache prefix(layout, pool), sequence(layout, pool);
      const auto shared = static_cast<int64_t>(random() % 20) * Pattern::kBlock;
      ASSERT_TRUE(prefix.reserve(shared));
      prefix.commit();
      const int64_t held = pool.pages_in_use();
      ASSERT_TRUE(sequence.fork_from(prefix, shared));
      const int64_t prompt = shared + 1 + static_cast<int64_t>(random() % 900);
      const int64_t end = prompt + static_cast<int64_t>(random() % 100);
      const RemainingTokens rest = {shared, prompt, end};
      int64_t peak = 0;
      while (sequence.length() < end) {
        const int64_t begin = sequence.length();
        const auto chunk = static_cast<int64_t>(1 + random() % 4) * Pattern::kBlock;
        const int64_t count = begin < prompt ? std::min(chunk, prompt - begin) : 1;
        ASSERT_TRUE(sequence.reserve(count));
        const int64_t own = pool.pages_in_use() - held;
        ASSERT_EQ(own, demand.in_pass(shared, begin, begin + count).total()) << sparse;
        peak = std::max(peak, own);
        sequence.commit();
        ASSERT_EQ(pool.pages_in_use() - held, demand.held(shared, begin + count).total());
      }
      EXPECT_LE(peak, demand.peak(shared, rest, 256).total());
    }
  }
}

TEST(PageDemandOfTheCache, IsWhatThePlanCounts) {
  const ModelConfig config = preset("llama2-7b");
  const LayerPlan plan = parse_layer_plan("middle:1/3", "sink", config.layers);
  const KvLayout layout(
      plan, {config.num_layers, config.num_kv_heads, config.head_size, PageType::kBfloat16});
  const PageDemand demand(layout);
  for (const int64_t tokens : {4096, 131'072}) {
    const KvBytes bytes = kv_bytes(config, plan, tokens, NumberFormat::bfloat16, 512);
    const auto peak = [&](const RemainingTokens& rest) {
      return demand.peak(0, rest, 512).total() * layout.page_bytes();
    };
    EXPECT_EQ(bytes.held, demand.held(0, tokens).total() * layout.page_bytes());
    EXPECT_EQ(bytes.prefill_peak, peak({0, tokens, tokens}));
    EXPECT_EQ(bytes.decode_peak, peak({0, 0, tokens}));
  }
}

}  // namespace
}  // namespace longgen
