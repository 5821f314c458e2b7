#include "longgen/train/optimizer.h"

#include <ATen/Parallel.h>
#include <ATen/ops/isfinite.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <type_traits>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/base/stochastic_rounding.h"
#include "longgen/base/units.h"
#include "longgen/ops/gpu_ops.h"

namespace longgen {
namespace {

// Elements that one thread takes at once; sums are made over these and then in order.
constexpr int64_t kChunk = int64_t{1} << 16;

bool is_bf16(const at::Tensor& x) { return x.scalar_type() == at::kBFloat16; }

int64_t num_chunks(int64_t count) { return (count + kChunk - 1) / kChunk; }

void put(float value, uint64_t, float& slot) { slot = value; }
void put(float value, uint64_t random, at::BFloat16& slot) {
  slot.x = stochastic_bf16(std::bit_cast<uint32_t>(value), random);
}

/// The numbers of one parameter that a step reads and changes.
template <typename T>
struct Slots {
  const T* gradient;
  T *weight, *m, *v;
};

/// Elements [begin, end). The weight moves by the moments as they are before they are rounded.
template <typename T>
void update(const gpu::AdamWFactors& f, uint64_t key, const Slots<T>& slots, int64_t begin,
            int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    const float g = static_cast<float>(slots.gradient[i]) * f.grad_scale;
    float m = slots.m[i], v = slots.v[i];
    m += f.new_share1 * (g - m);
    v += f.new_share2 * (g * g - v);
    const float size = std::sqrt(v) * f.inverse_root_correction2 + f.eps;
    const float weight = static_cast<float>(slots.weight[i]) * f.keep - f.step_size * m / size;
    const uint64_t random = std::is_same_v<T, float> ? 0 : element_bits(key, i);
    put(weight, random, slots.weight[i]);
    put(m, random >> 16, slots.m[i]);
    put(v, random >> 32, slots.v[i]);
  }
}

template <typename T>
T* data_of(const at::Tensor& tensor) {
  LG_DCHECK(tensor.is_contiguous() && tensor.device().is_cpu());
  return tensor.data_ptr<T>();  // checks the type
}

template <typename T>
double sum_of_squares(const at::Tensor& tensor) {
  const T* const values = data_of<T>(tensor);
  const int64_t count = tensor.numel();
  std::vector<double> sums(num_chunks(count));
  at::parallel_for(0, num_chunks(count), 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      double sum = 0;
      const int64_t last = std::min(count, (chunk + 1) * kChunk);
      for (int64_t i = chunk * kChunk; i < last; ++i) {
        sum += static_cast<double>(values[i]) * static_cast<double>(values[i]);
      }
      sums[chunk] = sum;
    }
  });
  double total = 0;
  for (const double sum : sums) total += sum;
  return total;
}

template <typename T>
void update_on_cpu(const gpu::AdamWFactors& factors, uint64_t key, const at::Tensor& gradient,
                   const at::Tensor& weight, const at::Tensor& m, const at::Tensor& v) {
  const Slots<T> slots = {data_of<T>(gradient), data_of<T>(weight), data_of<T>(m), data_of<T>(v)};
  const int64_t count = weight.numel();
  at::parallel_for(0, num_chunks(count), 1, [&](int64_t begin, int64_t end) {
    update(factors, key, slots, begin * kChunk, std::min(count, end * kChunk));
  });
}

}  // namespace

AdamWState make_adamw_state(const ModelWeights& masters) {
  const at::ScalarType dtype = masters.embedding_VE.scalar_type();
  return {zeros_like(masters, dtype), zeros_like(masters, dtype)};
}

double gradient_norm(const ModelWeights& gradients) {
  if (gradients.embedding_VE.is_cuda()) {
    std::vector<at::Tensor> tensors;
    for (const NamedTensor& gradient : gradients.parameters()) tensors.push_back(gradient.tensor);
    return std::sqrt(gpu::ops().sum_of_squares(tensors));
  }
  double total = 0;
  for (const NamedTensor& gradient : gradients.parameters()) {
    total += is_bf16(gradient.tensor) ? sum_of_squares<at::BFloat16>(gradient.tensor)
                                      : sum_of_squares<float>(gradient.tensor);
  }
  return std::sqrt(total);
}

void expect_finite(const ModelConfig& config, const ModelWeights& weights, const std::string& where,
                   const std::string& advice) {
  // Squares of floats do not overflow in double.
  if (std::isfinite(gradient_norm(weights))) return;
  for (const NamedTensor& named : weights.hugging_face_views(config)) {
    const int64_t bad = named.tensor.numel() - at::isfinite(named.tensor).sum().item<int64_t>();
    LG_CHECK(bad == 0, where, ": tensor ", named.name, ": ", format_count(bad), " of its ",
             format_count(named.tensor.numel()), " numbers are not finite. ", advice);
  }
}

void adamw_step(const ModelWeights& gradients, double grad_scale, int64_t step,
                const AdamWOptions& options, ModelWeights& masters, AdamWState& state) {
  const double correction1 = 1 - std::pow(options.beta1, static_cast<double>(step));
  const double correction2 = 1 - std::pow(options.beta2, static_cast<double>(step));
  // Shares of what is new are 1 - beta, taken in double: fp32 has few digits of a beta near 1.
  gpu::AdamWFactors factors = {
      .grad_scale = static_cast<float>(grad_scale),
      .new_share1 = static_cast<float>(1 - options.beta1),
      .new_share2 = static_cast<float>(1 - options.beta2),
      .step_size = static_cast<float>(options.learning_rate / correction1),
      .inverse_root_correction2 = static_cast<float>(1 / std::sqrt(correction2)),
      .eps = static_cast<float>(options.eps),
      .keep = 1};
  const uint64_t key_of_step = mix_pair(options.seed, static_cast<uint64_t>(step));
  const auto weights = masters.parameters(), slopes = gradients.parameters(),
             first = state.m.parameters(), second = state.v.parameters();
  for (size_t p = 0; p < weights.size(); ++p) {
    const uint64_t key = mix_pair(key_of_step, p);
    factors.keep = static_cast<float>(
        1 - (weights[p].decays ? options.learning_rate * options.weight_decay : 0));
    if (weights[p].tensor.is_cuda()) {
      gpu::ops().adamw(slopes[p].tensor, weights[p].tensor, first[p].tensor, second[p].tensor,
                       factors, key);
      continue;
    }
    const auto update_all =
        is_bf16(weights[p].tensor) ? update_on_cpu<at::BFloat16> : update_on_cpu<float>;
    update_all(factors, key, slopes[p].tensor, weights[p].tensor, first[p].tensor,
               second[p].tensor);
  }
}

}  // namespace longgen
