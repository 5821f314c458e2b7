// Times attention of one token to the paged KV cache on a GPU, for one layer:
//   build/release/bench/decode_bench [repeats]
// "K and V" is the rate at which the bytes of live keys and values were read; "of copy" relates it
// to what a copy within the GPU's memory reads and writes, measured in the same run. The second
// level cache is flushed before every measurement. Outputs are compared with plain torch in fp64
// first.
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/torch.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>

#include "longgen/attention/gpu_plugin.h"
#include "tests/gpu/paged_layer.h"

namespace {

using namespace longgen;

const torch::Device kGpu(torch::kCUDA, 0);

class Timer {
 public:
  explicit Timer(int repeats) : repeats_(repeats) {}

  struct Timing {
    double median_ms, fastest_ms, slowest_ms;
  };
  Timing time(const std::function<void()>& run) {
    run();
    std::vector<double> times;
    for (int i = 0; i < repeats_; ++i) {
      // 256 MiB of other data: more than any second level cache. It also keeps the GPU busy while
      // the calls are made.
      flush_.add_(1);
      const c10::Stream stream = c10::impl::VirtualGuardImpl(c10::kCUDA).getStream(kGpu);
      c10::Event begin(c10::kCUDA, c10::EventFlag::BACKEND_DEFAULT),
          end(c10::kCUDA, c10::EventFlag::BACKEND_DEFAULT);
      begin.record(stream);
      run();
      end.record(stream);
      end.synchronize();
      times.push_back(begin.elapsedTime(end));
    }
    std::sort(times.begin(), times.end());
    return {times[times.size() / 2], times.front(), times.back()};
  }

 private:
  int repeats_;
  torch::Tensor flush_ = torch::zeros({64 << 20}, torch::device(kGpu));
};

/// Bytes read and written a second.
double copy_rate(Timer& timer) {
  constexpr int64_t kBytes = int64_t{2} << 30;
  const torch::Tensor from = torch::ones({kBytes}, torch::device(kGpu).dtype(torch::kByte));
  const torch::Tensor to = torch::empty_like(from);
  return 2 * kBytes / timer.time([&] { to.copy_(from); }).median_ms * 1e3;
}

struct Shape {
  int64_t num_sequences, num_tokens;
  LayerShape layer;
};

class Case {
 public:
  explicit Case(const Shape& shape) : shape_(shape), layer_(shape.layer, shape.num_sequences) {
    // In rounds, so that the pages of a sequence are scattered as they are in a server.
    const int64_t last = shape.num_tokens - 1;
    while (layer_.cache(0).length() < last) {
      const int64_t count = std::min<int64_t>(256, last - layer_.cache(0).length());
      layer_.commit(layer_.reserve(std::vector<int64_t>(shape.num_sequences, count)));
    }
    parts_ = layer_.reserve(std::vector<int64_t>(shape.num_sequences, 1));
    host_tables_ = PassTables::make(parts_, true);
    tables_ = host_tables_.to(kGpu);
    const torch::Tensor memory = layer_.memory(layer_.pool().high_water());
    for (const torch::Tensor& pages : memory.split(1024)) pages.normal_();
    const auto random = [&](int64_t heads) {
      return torch::randn({shape.num_sequences, heads, shape.layer.head_size}, torch::device(kGpu))
          .to(torch::kBFloat16);
    };
    q_ = random(shape.layer.num_heads);
    gpu_cache().write(layer_.pages(), tables_, random(shape.layer.num_kv_heads),
                      random(shape.layer.num_kv_heads));
  }

  torch::Tensor attend() {
    return gpu_cache().attend(layer_.pages(), tables_, q_, scale(), workspace_);
  }

  int64_t bytes() const {
    const int64_t pairs = shape_.num_sequences * shape_.layer.num_kv_heads;
    return (host_tables_.starts(0)[pairs] - host_tables_.starts(0)[0]) *
           layer_.layout().block_bytes();
  }

  /// The largest difference from fp64 over the largest output, of up to 64 pairs of a sequence and
  /// a KV head.
  double check() {
    const torch::Tensor out = attend().to(torch::kDouble);
    const torch::Tensor memory = layer_.memory(layer_.pool().high_water());
    const int64_t pairs = shape_.num_sequences * shape_.layer.num_kv_heads;
    const int64_t group = shape_.layer.num_heads / shape_.layer.num_kv_heads;
    double worst = 0, largest = 0;
    for (int64_t pair = 0; pair < pairs; pair += std::max<int64_t>(1, pairs / 64)) {
      const int64_t n = pair / shape_.layer.num_kv_heads, head = pair % shape_.layer.num_kv_heads;
      const auto rows = [&](const torch::Tensor& x) { return x[n].narrow(0, head * group, group); };
      const auto [k, v] = keys_and_values(memory, n, head);
      const torch::Tensor scores = rows(q_).to(torch::kDouble).matmul(k.t()) * scale();
      const torch::Tensor truth = scores.softmax(1).matmul(v);
      worst = std::max(worst, (truth - rows(out)).abs().max().item<double>());
      largest = std::max(largest, truth.abs().max().item<double>());
    }
    return worst / largest;
  }

 private:
  double scale() const { return 1 / std::sqrt(static_cast<double>(shape_.layer.head_size)); }

  std::pair<torch::Tensor, torch::Tensor> keys_and_values(const torch::Tensor& memory, int64_t n,
                                                          int64_t head) const {
    std::vector<torch::Tensor> k, v;
    const int64_t length = layer_.cache(n).length() + 1;
    const auto& pages = layer_.cache(n).pages(0, head);
    for (size_t j = 0; j < pages.size(); ++j) {
      if (pages[j] == SequenceCache::kNoPage) continue;
      const int64_t rows = std::min<int64_t>(64, length - static_cast<int64_t>(j) * 64);
      k.push_back(layer_.block(memory[pages[j]], false).narrow(0, 0, rows));
      v.push_back(layer_.block(memory[pages[j]], true).narrow(0, 0, rows));
    }
    return {torch::cat(k).to(torch::kDouble), torch::cat(v).to(torch::kDouble)};
  }

  Shape shape_;
  mutable PagedLayer layer_;
  std::vector<PassPart> parts_;
  PassTables host_tables_, tables_;
  torch::Tensor q_;
  AttendWorkspace workspace_;
};

}  // namespace

int main(int argc, char** argv) try {
  LG_CHECK(load_gpu_plugin().empty(), load_gpu_plugin());
  Timer timer(argc > 1 ? std::stoi(argv[1]) : 20);
  torch::manual_seed(1);
  const double copy = copy_rate(timer);
  std::printf("copy within the GPU: %.0f GB/s read and written\n", copy * 1e-9);
  std::printf("decode, one layer, D 128, bf16; median (fastest to slowest) of ms\n");
  for (const char* pattern : {"full", "sink"}) {
    for (const int64_t num_kv_heads : {32, 8}) {
      for (const auto& [num_sequences, tokens] :
           std::vector<std::pair<int64_t, int64_t>>{{1, 131072}, {8, 32768}, {64, 4096}}) {
        Case test({num_sequences, tokens, {32, num_kv_heads, 128, pattern}});
        const double error = test.check();
        // Half a spacing of bf16 from rounding the output, as much again from rounding weights.
        LG_CHECK(error < 0x1p-7, "the output differs from plain torch in fp64 by ", error,
                 " of its largest value.");
        const auto timing = timer.time([&] { (void)test.attend(); });
        const double rate = static_cast<double>(test.bytes()) / timing.median_ms * 1e3;
        std::printf(
            "%-5s %2ld x %6ld, heads 32/%-2ld: %8.4f (%.4f to %.4f) ms, K and V %8.1f MB at %5.0f "
            "GB/s, %5.1f%% of copy; error %.1e\n",
            pattern, static_cast<long>(num_sequences), static_cast<long>(tokens),
            static_cast<long>(num_kv_heads), timing.median_ms, timing.fastest_ms, timing.slowest_ms,
            static_cast<double>(test.bytes()) * 1e-6, rate * 1e-9, 100 * rate / copy, error);
      }
    }
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "decode_bench: %s\n", error.what());
  return 1;
}
