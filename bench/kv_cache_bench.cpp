// Times attention over the paged KV cache of a model with SmolLM2's shape (30 layers, 9 query heads
// on 3 KV heads of 64): one token, and a chunk of 512 tokens, after a prompt:
//   build/release/bench/kv_cache_bench [threads] [float32|bfloat16]
// Prints medians and spread. Next to decode stands "read", the time in which as many threads
// sum the bytes of the same pages: the bound that memory sets. Outputs are compared with the
// attend op first.
#include <torch/torch.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "longgen/attention/cpu/items.h"
#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/kv_cache/cached_context.h"
#include "longgen/kv_cache/page_scalar.h"

namespace {

using namespace longgen;

struct Timing {
  double median_ms, spread_ms;
};

Timing time_of(int repeats, const std::function<void()>& run) {
  run();
  std::vector<double> times;
  for (int i = 0; i < repeats; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
  }
  std::sort(times.begin(), times.end());
  return {times[times.size() / 2], times.back() - times.front()};
}

struct Qkv {
  torch::Tensor q, k, v;
};

Qkv random_qkv(int64_t tokens, torch::ScalarType type) {
  const auto random = [&](int64_t heads) { return torch::randn({tokens, heads, 64}).to(type); };
  return {random(9), random(3), random(3)};
}

const std::vector<int64_t> kMiddle = {10, 11, 12, 13, 14, 15, 16, 17, 18, 19};

class Bench {
 public:
  Bench(const LayerPlan& plan, torch::ScalarType type)
      : plan_(plan),
        type_(type),
        layout_(plan, {30, 3, 64, page_type(type)}),
        pool_(layout_.page_bytes()),
        cache_(layout_, pool_) {}

  /// Keys and values of a prompt, without the attention that computes them: every live block is the
  /// same random one.
  void fill(int64_t tokens) {
    while (cache_.length() < tokens) {
      LG_CHECK(cache_.reserve(std::min<int64_t>(512, tokens - cache_.length())), "pool is full");
      cache_.commit();
    }
    const torch::Tensor block = torch::randn({2, 64, 64}).to(type_);
    for (std::byte* to : visible_blocks()) {
      std::memcpy(to, block.data_ptr(), layout_.block_bytes());
    }
  }

  /// Attention of all layers, for tokens that are then forgotten again.
  Timing attend(int64_t tokens, int repeats) {
    const Qkv x = random_qkv(tokens, type_);
    return time_of(repeats, [&] {
      CachedContext context;
      LG_CHECK(context.begin({{&cache_, tokens}}), "pool is full");
      for (int64_t layer = 0; layer < 30; ++layer) {
        context.attend({layer, plan_.pattern(layer, 3)}, x.q, x.k, x.v);
      }
    });
  }

  /// Sums all bytes that one token's attention reads.
  Timing read() {
    const auto blocks = visible_blocks();
    const int64_t count = layout_.block_bytes() / 4;
    std::atomic<float> total = 0;
    return time_of(20, [&] {
      cpu::for_each_item(
          static_cast<int64_t>(blocks.size()), [] { return 0; },
          [&](int, int64_t item) {
            const auto* data = reinterpret_cast<const float*>(blocks[item]);
            float sums[64] = {};
            for (int64_t i = 0; i < count; i += 64) {
              for (int64_t c = 0; c < 64; ++c) sums[c] += data[i + c];
            }
            total = total + sums[0] + sums[17] + sums[63];
          });
    });
  }

  int64_t bytes() const {
    return static_cast<int64_t>(visible_blocks().size()) * layout_.block_bytes();
  }
  int64_t held_bytes() const { return cache_.kv_bytes(); }

 private:
  std::vector<std::byte*> visible_blocks() const {
    std::vector<std::byte*> blocks;
    for (int64_t layer = 0; layer < 30; ++layer) {
      const Pattern& pattern = layout_.pattern(layout_.slot(layer).group);
      for (int64_t head = 0; head < 3; ++head) {
        // What the next token sees; at the start of a block its own is not there yet.
        for (int64_t j : pattern.visible_blocks(cache_.length() / Pattern::kBlock, head)) {
          if (j * Pattern::kBlock >= cache_.length()) continue;
          blocks.push_back(cache_.block(layer, head, j));
        }
      }
    }
    return blocks;
  }

  LayerPlan plan_;
  torch::ScalarType type_;
  KvLayout layout_;
  PagePool pool_;
  SequenceCache cache_;
};

/// The last of 2,100 tokens, by the cache and by the attend op.
void check_numbers(torch::ScalarType type) {
  const Qkv x = random_qkv(2100, type);
  for (const LayerPlan& plan :
       {LayerPlan::all_full(1), LayerPlan::hybrid(1, {}, Pattern::parse("sink"))}) {
    const KvLayout layout(plan, {1, 3, 64, page_type(type)});
    PagePool pool(layout.page_bytes());
    SequenceCache cache(layout, pool);
    const Pattern pattern = plan.pattern(0, 3);
    torch::Tensor out;
    for (const int64_t count : {2099, 1}) {
      CachedContext context;
      LG_CHECK(context.begin({{&cache, count}}), "pool is full");
      const auto rows = [&](const torch::Tensor& t) { return t.narrow(0, cache.length(), count); };
      out = context.attend({0, pattern}, rows(x.q), rows(x.k), rows(x.v));
      context.commit();
    }
    const auto expected = longgen::attend(x.q.narrow(0, 2099, 1), x.k, x.v, pattern).out_THD;
    const double difference = (out - expected).abs().max().item<double>();
    LG_CHECK(difference < (type == torch::kFloat ? 1e-6 : 1e-2), "the cache's output differs by ",
             difference, " from that of the attend op");
  }
}

}  // namespace

int main(int argc, char** argv) try {
  at::set_num_threads(argc > 1 ? std::stoi(argv[1]) : 2);
  const std::string dtype = argc > 2 ? argv[2] : "float32";
  LG_CHECK(dtype == "float32" || dtype == "bfloat16", "dtype must be float32 or bfloat16, found ",
           dtype);
  const auto type = dtype == "bfloat16" ? torch::kBFloat16 : torch::kFloat;
  check_numbers(type);
  std::printf("30 layers, 9 query heads on 3 KV heads of 64, %s, %d threads; ms (spread)\n",
              dtype.c_str(), at::get_num_threads());
  for (const int64_t tokens : {512, 2048, 8192, 16384}) {
    for (const bool hybrid : {true, false}) {
      Bench bench(
          hybrid ? LayerPlan::hybrid(30, kMiddle, Pattern::parse("sink")) : LayerPlan::all_full(30),
          type);
      bench.fill(tokens);
      const Timing chunk = bench.attend(512, 3), decode = bench.attend(1, 20), read = bench.read();
      std::printf(
          "%-6s after %6ld: chunk of 512 %8.1f (%.1f), decode %7.3f (%.3f) = %4.1f GB/s, read "
          "%7.3f "
          "(%.3f), decode / read %.2f, %s held\n",
          hybrid ? "hybrid" : "full", static_cast<long>(tokens), chunk.median_ms, chunk.spread_ms,
          decode.median_ms, decode.spread_ms, bench.bytes() / decode.median_ms * 1e-6,
          read.median_ms, read.spread_ms, decode.median_ms / read.median_ms,
          format_bytes(bench.held_bytes()).c_str());
    }
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "kv_cache_bench: %s\n", error.what());
  return 1;
}
