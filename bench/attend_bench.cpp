// Times the attend op on the CPU against ATen's causal attention over all keys, in one run:
//   build/release/bench/attend_bench [tokens] [pattern] [threads]
// Prints medians of five runs after one warm-up, their spread, and the ratio. Outputs are compared
// first: a window over everything must give what ATen gives.
#include <torch/torch.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <string>

#include "longgen/attention/attend.h"
#include "longgen/base/check.h"

namespace {

using longgen::Pattern;

struct Timing {
  double median_ms, spread_ms;
};

Timing time_of(const std::function<void()>& run) {
  run();
  std::vector<double> times;
  for (int i = 0; i < 5; ++i) {
    const auto start = std::chrono::steady_clock::now();
    run();
    times.push_back(
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
            .count());
  }
  std::sort(times.begin(), times.end());
  return {times[2], times[4] - times[0]};
}

torch::Tensor aten_attention(const torch::Tensor& q, const torch::Tensor& k,
                             const torch::Tensor& v) {
  const int64_t group = q.size(1) / k.size(1);
  const auto heads_first = [](const torch::Tensor& x) { return x.transpose(0, 1).unsqueeze(0); };
  const auto repeated = [&](const torch::Tensor& x) {
    return heads_first(x.repeat_interleave(group, 1));
  };
  return at::scaled_dot_product_attention(heads_first(q), repeated(k), repeated(v), {}, 0.0,
                                          /*is_causal=*/true)
      .squeeze(0)
      .transpose(0, 1);
}

}  // namespace

int main(int argc, char** argv) try {
  const int64_t tokens = argc > 1 ? std::stoll(argv[1]) : 16384;
  const Pattern pattern = Pattern::parse(argc > 2 ? argv[2] : "sink");
  if (argc > 3) at::set_num_threads(std::stoi(argv[3]));
  std::printf("T %ld, 9 query heads on 3 KV heads of 64, %s, %d threads\n",
              static_cast<long>(tokens), pattern.to_string().c_str(), at::get_num_threads());
  for (const auto type : {torch::kFloat, torch::kBFloat16}) {
    torch::manual_seed(1);
    const auto random = [&](int64_t heads) {
      return torch::randn({tokens, heads, 64}).to(type).requires_grad_();
    };
    const torch::Tensor q = random(9), k = random(3), v = random(3),
                        weights = torch::randn({tokens, 9, 64}).to(type);
    const auto ours = [&] { return longgen::attend(q, k, v, pattern).out_THD; };
    const auto aten = [&] { return aten_attention(q, k, v); };
    const auto difference =
        (longgen::attend(q, k, v, Pattern::sparse(0, tokens)).out_THD - aten()).abs().max();
    LG_CHECK(difference.item<double>() < (type == torch::kFloat ? 1e-4 : 5e-2),
             "a window over everything differs from ATen by ", difference.item<double>());
    const auto report = [&](const char* name, const Timing& us, const Timing& them) {
      std::printf(
          "%-8s %-8s longgen %8.1f ms (spread %.1f)   ATen, all keys %8.1f ms (spread %.1f)   "
          "ratio %.2f\n",
          c10::toString(type), name, us.median_ms, us.spread_ms, them.median_ms, them.spread_ms,
          them.median_ms / us.median_ms);
    };
    {
      const torch::NoGradGuard no_grad;
      report("forward", time_of([&] { ours(); }), time_of([&] { aten(); }));
    }
    const torch::Tensor our_out = ours(), aten_out = aten();
    const auto backward = [&](const torch::Tensor& out) {
      return [&, out] {
        torch::autograd::grad({out}, {q, k, v}, {weights}, /*retain_graph=*/true);
      };
    };
    report("backward", time_of(backward(our_out)), time_of(backward(aten_out)));
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "attend_bench: %s\n", error.what());
  return 1;
}
