#include "longgen/bench/decode_bench.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <cmath>

#include "longgen/base/check.h"
#include "longgen/base/log.h"
#include "longgen/base/units.h"
#include "longgen/plan/table.h"

namespace longgen {
namespace {

class Case {
 public:
  Case(const DecodeLoad& load, at::Device device)
      : load_(load),
        shape_(load.layer),
        device_(device),
        layer_(load.layer, load.num_sequences, device) {
    at::manual_seed(1);
    // Sequences grow in rounds, so that the pages of each are scattered as they are in a server.
    const int64_t last = load.num_tokens - 1;
    while (layer_.cache(0).length() < last) {
      const int64_t count = std::min<int64_t>(256, last - layer_.cache(0).length());
      PagedLayer::commit(layer_.reserve(std::vector<int64_t>(load.num_sequences, count)));
    }
    parts_ = layer_.reserve(std::vector<int64_t>(load.num_sequences, 1));
    host_tables_ = PassTables::make(parts_, true);
    tables_ = host_tables_.to(device_);
    for (const at::Tensor& pages : memory().split(1024)) pages.normal_();
    source_of_q_ = random(shape_.num_heads);
    q_ = source_of_q_.clone();
    gpu_cache().write(layer_.pages(), tables_, random(shape_.num_kv_heads),
                      random(shape_.num_kv_heads));
  }

  /// The queries are written anew, as the kernel before attention does in a model.
  void prepare() { q_.copy_(source_of_q_); }

  at::Tensor attend() {
    return gpu_cache().attend(layer_.pages(), tables_, q_, scale(), workspace_);
  }

  int64_t bytes() const {
    return (host_tables_.starts(0)[num_pairs()] - host_tables_.starts(0)[0]) *
           layer_.layout().block_bytes();
  }

  /// The largest difference from fp64 over the largest output.
  double error() {
    const at::Tensor out = attend().to(at::kDouble), pages = memory();
    const int64_t group = shape_.num_heads / shape_.num_kv_heads;
    double worst = 0, largest = 0;
    for (int64_t pair = 0; pair < num_pairs(); pair += std::max<int64_t>(1, num_pairs() / 64)) {
      const int64_t n = pair / shape_.num_kv_heads, head = pair % shape_.num_kv_heads;
      const auto rows = [&](const at::Tensor& x) { return x[n].narrow(0, head * group, group); };
      const auto [k, v] = keys_and_values(pages, n, head);
      const at::Tensor scores = at::matmul(rows(q_).to(at::kDouble), k.t()) * scale();
      const at::Tensor truth = at::matmul(scores.softmax(1), v);
      worst = std::max(worst, (truth - rows(out)).abs().max().item<double>());
      largest = std::max(largest, truth.abs().max().item<double>());
      if (std::isnan(worst)) return INFINITY;
    }
    return worst / largest;
  }

 private:
  double scale() const { return 1 / std::sqrt(static_cast<double>(shape_.head_size)); }
  int64_t num_pairs() const { return load_.num_sequences * shape_.num_kv_heads; }
  at::Tensor memory() { return layer_.memory(layer_.pool().high_water()); }

  at::Tensor random(int64_t heads) const {
    return at::randn({load_.num_sequences, heads, shape_.head_size},
                     at::TensorOptions(device_).dtype(at::kBFloat16));
  }

  std::pair<at::Tensor, at::Tensor> keys_and_values(const at::Tensor& memory, int64_t n,
                                                    int64_t head) {
    std::vector<at::Tensor> k, v;
    const int64_t length = layer_.cache(n).length() + 1;
    const auto& pages = layer_.cache(n).pages(0, head);
    for (size_t j = 0; j < pages.size(); ++j) {
      if (pages[j] == kNoPage) continue;
      const int64_t rows = std::min<int64_t>(64, length - static_cast<int64_t>(j) * 64);
      k.push_back(layer_.block(memory[pages[j]], false).narrow(0, 0, rows));
      v.push_back(layer_.block(memory[pages[j]], true).narrow(0, 0, rows));
    }
    return {at::cat(k).to(at::kDouble), at::cat(v).to(at::kDouble)};
  }

  DecodeLoad load_;
  LayerShape shape_;
  at::Device device_;
  PagedLayer layer_;
  std::vector<PassPart> parts_;
  PassTables host_tables_, tables_;
  at::Tensor source_of_q_, q_;
  AttendWorkspace workspace_;
};

}  // namespace

DecodeResult bench_decode(const DecodeLoad& load, at::Device device, int64_t repeats) {
  log_info(detail::concat(load.layer.pattern, ", ", load.num_sequences, " x ",
                          format_count(load.num_tokens), " tokens, heads ", load.layer.num_heads,
                          "/", load.layer.num_kv_heads, " of ", load.layer.head_size));
  Case one(load, device);
  DecodeResult result;
  result.load = load;
  result.error = one.error();
  result.kv_bytes = one.bytes();
  result.timing = Timer(device, repeats).time([&] { one.attend(); }, [&] { one.prepare(); });
  return result;
}

std::string to_text(const std::vector<DecodeResult>& results, double copy_rate) {
  std::vector<std::vector<std::string>> rows = {{"pattern", "sequences x tokens", "heads",
                                                 "head size", "ms", "fastest", "slowest", "K and V",
                                                 "GB/s", "of copy", "error"}};
  for (const DecodeResult& result : results) {
    const LayerShape& layer = result.load.layer;
    const double rate = result.bytes_per_s();
    rows.push_back(
        {layer.pattern,
         detail::concat(result.load.num_sequences, " x ", format_count(result.load.num_tokens)),
         detail::concat(layer.num_heads, "/", layer.num_kv_heads), std::to_string(layer.head_size),
         format_number(result.timing.median_ms, "%.4f"),
         format_number(result.timing.fastest_ms, "%.4f"),
         format_number(result.timing.slowest_ms, "%.4f"), format_bytes(result.kv_bytes),
         format_number(rate * 1e-9, "%.0f"), format_number(100 * rate / copy_rate, "%.1f%%"),
         format_number(result.error, "%.1e") + (result.is_right() ? "" : " WRONG")});
  }
  return format_table(rows);
}

OrderedJson to_json(const std::vector<DecodeResult>& results, double copy_rate) {
  OrderedJson rows = OrderedJson::array();
  for (const DecodeResult& result : results) {
    const LayerShape& layer = result.load.layer;
    rows.push_back({{"pattern", layer.pattern},
                    {"sequences", result.load.num_sequences},
                    {"tokens", result.load.num_tokens},
                    {"heads", layer.num_heads},
                    {"kv_heads", layer.num_kv_heads},
                    {"head_size", layer.head_size},
                    {"ms", result.timing.median_ms},
                    {"ms_range", {result.timing.fastest_ms, result.timing.slowest_ms}},
                    {"kv_bytes", result.kv_bytes},
                    {"kv_bytes_per_s", result.bytes_per_s()},
                    {"copy_share", result.bytes_per_s() / copy_rate},
                    {"error", result.error},
                    {"tolerance", DecodeResult::kTolerance}});
  }
  return rows;
}

}  // namespace longgen
