// Times attention over the paged KV cache of a model with SmolLM2's shape (30 layers, 9 query heads
// on 3 KV heads of 64), decoding one token after a prompt, against the time that reading the same
// bytes takes, in one run:
//   build/release/bench/kv_cache_bench [threads] [float32|bfloat16]
// Prints medians and spread. "read" sums the bytes of all live pages with the same number of
// threads: the bound that memory sets.
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>
#include <vector>

#include "longgen/attention/cpu/items.h"
#include "longgen/base/check.h"
#include "longgen/base/units.h"
#include "longgen/kv_cache/cached_context.h"

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

class Bench {
 public:
  Bench(const LayerPlan& plan, torch::ScalarType type)
      : plan_(plan),
        type_(type),
        layout_(plan, {30, 3, 64, type == torch::kFloat ? 4 : 2}),
        pool_(layout_.page_bytes()),
        cache_(layout_, pool_) {}

  void forward(const Qkv& x) {
    CachedContext context;
    LG_CHECK(context.begin({{&cache_, x.q.size(0)}}), "the pool is full");
    for (int64_t layer = 0; layer < 30; ++layer) {
      context.attend(layer, x.q, x.k, x.v, plan_.pattern(layer, 3));
    }
    context.commit();
  }

  double prefill(int64_t tokens, int64_t chunk) {
    const auto start = std::chrono::steady_clock::now();
    while (cache_.length() < tokens) {
      forward(random_qkv(std::min(chunk, tokens - cache_.length()), type_));
    }
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

  Timing decode() {
    const Qkv x = random_qkv(1, type_);
    return time_of(20, [&] { forward(x); });
  }

  /// Sums all bytes that one token's attention reads.
  Timing read() {
    struct Run {
      const float* data;
      int64_t count;
    };
    std::vector<Run> runs;
    for (int64_t layer = 0; layer < 30; ++layer) {
      const Pattern& pattern = layout_.pattern(layout_.slot(layer).group);
      for (int64_t head = 0; head < 3; ++head) {
        for (int64_t j : pattern.visible_blocks((cache_.length() - 1) / Pattern::kBlock, head)) {
          runs.push_back({reinterpret_cast<const float*>(cache_.block(layer, head, j)),
                          layout_.block_bytes() / 4});
        }
      }
    }
    std::atomic<float> total = 0;
    return time_of(20, [&] {
      cpu::for_each_item(
          static_cast<int64_t>(runs.size()), [] { return 0; },
          [&](int, int64_t item) {
            float sums[64] = {};
            for (int64_t i = 0; i < runs[item].count; i += 64) {
              for (int64_t c = 0; c < 64; ++c) sums[c] += runs[item].data[i + c];
            }
            total = total + sums[0] + sums[17] + sums[63];
          });
    });
  }

  int64_t bytes() const { return cache_.kv_bytes(); }

 private:
  LayerPlan plan_;
  torch::ScalarType type_;
  KvLayout layout_;
  PagePool pool_;
  SequenceCache cache_;
};

}  // namespace

int main(int argc, char** argv) try {
  at::set_num_threads(argc > 1 ? std::stoi(argv[1]) : 2);
  const auto type =
      argc > 2 && std::string(argv[2]) == "bfloat16" ? torch::kBFloat16 : torch::kFloat;
  std::printf("30 layers, 9 query heads on 3 KV heads of 64, %s, %d threads\n", c10::toString(type),
              at::get_num_threads());
  const std::vector<int64_t> middle = {10, 11, 12, 13, 14, 15, 16, 17, 18, 19};
  for (const bool hybrid : {true, false}) {
    for (int64_t tokens : {512, 2048, 8192, 16384}) {
      Bench bench(hybrid ? LayerPlan{middle, Pattern::parse("sink")} : LayerPlan::all_full(30),
                  type);
      const double prefill_s = bench.prefill(tokens, 512);
      const Timing decode = bench.decode(), read = bench.read();
      std::printf(
          "%-6s after %6ld: prefill in chunks of 512 %7.2f s, decode %7.3f ms (spread %.3f), "
          "%5.1f GB/s, read %7.3f ms (spread %.3f), ratio %.2f, %s held\n",
          hybrid ? "hybrid" : "full", static_cast<long>(tokens), prefill_s, decode.median_ms,
          decode.spread_ms, bench.bytes() / decode.median_ms * 1e-6, read.median_ms, read.spread_ms,
          decode.median_ms / read.median_ms, format_bytes(bench.bytes()).c_str());
    }
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "kv_cache_bench: %s\n", error.what());
  return 1;
}
