#include "longgen/bench/ops_bench.h"

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/linear.h>
#include <ATen/ops/rand.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/randn_like.h>
#include <ATen/ops/zeros.h>

#include "longgen/base/units.h"
#include "longgen/model/rope_frequencies.h"
#include "longgen/ops/glu.h"
#include "longgen/ops/gpu_ops.h"
#include "longgen/ops/linear.h"
#include "longgen/ops/norm.h"
#include "longgen/ops/rope.h"
#include "longgen/plan/table.h"

namespace longgen {
namespace {

constexpr int64_t kLossRows = 4096;  // as linear_cross_entropy() on a GPU

class Bench {
 public:
  Bench(const std::string& model, const ModelConfig& config, at::Device device, int64_t num_tokens,
        int64_t repeats)
      : model_(model),
        config_(config),
        device_(device),
        num_tokens_(num_tokens),
        timer_(device, repeats) {}

  std::vector<OpResult> run() {
    at::manual_seed(1);
    norms();
    rotation();
    gates();
    loss();
    embedding();
    optimizer();
    one_token();
    return results_;
  }

 private:
  at::TensorOptions on_gpu(at::ScalarType dtype) const {
    return at::TensorOptions(device_).dtype(dtype);
  }
  at::Tensor random(at::IntArrayRef sizes) const { return at::randn(sizes, on_gpu(at::kBFloat16)); }

  /// `numbers`: how many of `bytes_each` are read or written.
  void time(const char* op, int64_t numbers, int64_t bytes_each,
            const std::function<void()>& work) {
    results_.push_back({model_, op, timer_.time(work), numbers * bytes_each});
  }

  void norms() {
    const int64_t all = num_tokens_ * config_.width;
    const at::Tensor x = random({num_tokens_, config_.width}), delta = at::randn_like(x),
                     weight = random({config_.width});
    const gpu::NormResult saved = gpu::ops().rms_norm(x, delta, weight, config_.norm_eps, true);
    time("rms_norm", 2 * all, 2, [&] { rms_norm(x, {weight, config_.norm_eps}); });
    time("add_rms_norm", 4 * all, 2, [&] { add_rms_norm(x, delta, {weight, config_.norm_eps}); });
    time("add_rms_norm backward", 4 * all, 2, [&] {
      gpu::ops().rms_norm_backward(delta, x, saved.sum, weight, saved.inverse_rms, true, true);
    });
  }

  void rotation() {
    const int64_t q = config_.num_heads, k = config_.num_kv_heads, d = config_.head_size;
    const std::vector<double> frequencies = rope_frequencies(config_.rope, d);
    const at::Tensor positions = at::arange(num_tokens_, on_gpu(at::kLong));
    const RopeTable table = make_rope_table(positions, frequencies);
    const at::Tensor heads = random({num_tokens_, q + 2 * k, d});
    const RotatedHeads parts = split_rotated(heads, q, table);
    const int64_t table_bytes = num_tokens_ * d * 4;
    time("rope table", table_bytes, 1, [&] { make_rope_table(positions, frequencies); });
    time("rope of q and k", 4 * num_tokens_ * (q + k) * d + table_bytes, 1,
         [&] { split_rotated(heads, q, table); });
    time("rope backward", 4 * num_tokens_ * (q + 2 * k) * d + table_bytes, 1, [&] {
      gpu::ops().rope_qkv_backward(parts.q_THD, parts.k_TKD, parts.v_TKD, table.cos_TR,
                                   table.sin_TR);
    });
  }

  void gates() {
    const int64_t all = num_tokens_ * config_.ffn_width;
    const at::Tensor gate_up = random({num_tokens_, 2 * config_.ffn_width}),
                     grad = random({num_tokens_, config_.ffn_width});
    time("swiglu", 3 * all, 2, [&] { glu(gate_up, Activation::kSilu); });
    time("swiglu backward", 5 * all, 2, [&] { gpu::ops().swiglu_backward(grad, gate_up); });
  }

  void loss() {
    const at::Tensor logits = random({kLossRows, config_.vocab_size});
    const at::Tensor targets = at::randint(config_.vocab_size, {kLossRows}, on_gpu(at::kLong));
    const at::Tensor losses = at::empty({kLossRows}, on_gpu(at::kDouble));
    time("cross-entropy", logits.numel(), 2,
         [&] { gpu::ops().cross_entropy(logits, targets, losses, false); });
    time("cross-entropy, gradient", 2 * logits.numel(), 2,
         [&] { gpu::ops().cross_entropy(logits, targets, losses, true); });
    const at::Tensor teacher = random({kLossRows, config_.vocab_size});
    const at::Tensor divergences = at::empty({kLossRows}, on_gpu(at::kDouble));
    time("distillation, gradient", 3 * logits.numel(), 2, [&] {
      gpu::ops().distillation(logits, teacher, 0.5, targets, losses, divergences, true);
    });
  }

  void embedding() {
    const at::Tensor grad = random({num_tokens_, config_.width});
    // Text has few tokens that are frequent: the square of a uniform number.
    const at::Tensor tokens = at::rand({num_tokens_}, on_gpu(at::kFloat))
                                  .square()
                                  .mul(static_cast<double>(config_.vocab_size - 1))
                                  .to(at::kLong);
    const at::Tensor sum = at::zeros({config_.vocab_size, config_.width}, on_gpu(at::kFloat));
    time("embedding gradient", grad.numel(), 2,
         [&] { gpu::ops().embedding_backward(grad, tokens, sum); });
  }

  void optimizer() {
    const int64_t count = 2 * config_.ffn_width * config_.width;
    const auto zeros = [&] { return at::zeros({count}, on_gpu(at::kFloat)); };
    const at::Tensor gradient = at::randn({count}, on_gpu(at::kFloat));
    const at::Tensor weight = zeros(), m = zeros(), v = zeros();
    time("AdamW", 7 * count, 4, [&] {
      gpu::ops().adamw(gradient, weight, m, v, {1, 0.1F, 0.05F, 1e-3F, 1, 1e-8F, 1}, /*key=*/0);
    });
    time("sum of squares", count, 4, [&] { gpu::ops().sum_of_squares({gradient}); });
  }

  /// The products of decoding, beside those of torch (cuBLAS).
  void one_token() {
    const int64_t q = config_.num_heads * config_.head_size;
    const int64_t heads = q + 2 * config_.num_kv_heads * config_.head_size;
    struct Product {
      const char *name, *torch_name;
      int64_t outputs, width;
    };
    for (const Product& product :
         {Product{"qkv of a token", "the same, torch", heads, config_.width},
          {"output of a token", "the same, torch", config_.width, q},
          {"gate, up of a token", "the same, torch", 2 * config_.ffn_width, config_.width},
          {"down of a token", "the same, torch", config_.width, config_.ffn_width}}) {
      const at::Tensor x = random({1, product.width});
      const at::Tensor weight = random({product.outputs, product.width});
      time(product.name, weight.numel(), 2, [&] { longgen::linear(x, weight); });
      time(product.torch_name, weight.numel(), 2, [&] { at::linear(x, weight); });
    }
  }

  std::string model_;
  const ModelConfig& config_;
  at::Device device_;
  int64_t num_tokens_;
  Timer timer_;
  std::vector<OpResult> results_;
};

}  // namespace

std::vector<OpResult> bench_ops(const std::string& model, const ModelConfig& config,
                                at::Device device, int64_t num_tokens, int64_t repeats) {
  const at::NoGradGuard no_grad;
  return Bench(model, config, device, num_tokens, repeats).run();
}

std::string to_text(const std::vector<OpResult>& results, double copy_rate) {
  std::vector<std::vector<std::string>> rows = {
      {"model", "op", "ms", "fastest", "slowest", "bytes", "GB/s", "of copy"}};
  for (const OpResult& result : results) {
    const double rate = result.bytes_per_s();
    rows.push_back({result.model, result.op, format_number(result.timing.median_ms, "%.3f"),
                    format_number(result.timing.fastest_ms, "%.3f"),
                    format_number(result.timing.slowest_ms, "%.3f"), format_bytes(result.bytes),
                    format_number(rate * 1e-9, "%.0f"),
                    format_number(100 * rate / copy_rate, "%.1f%%")});
  }
  return format_table(rows);
}

OrderedJson to_json(const std::vector<OpResult>& results, double copy_rate) {
  OrderedJson rows = OrderedJson::array();
  for (const OpResult& result : results) {
    rows.push_back({{"model", result.model},
                    {"op", result.op},
                    {"ms", result.timing.median_ms},
                    {"ms_range", {result.timing.fastest_ms, result.timing.slowest_ms}},
                    {"bytes", result.bytes},
                    {"bytes_per_s", result.bytes_per_s()},
                    {"copy_share", result.bytes_per_s() / copy_rate}});
  }
  return rows;
}

}  // namespace longgen
