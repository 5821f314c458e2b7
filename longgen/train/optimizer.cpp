#include "longgen/train/optimizer.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/ops/gpu_ops.h"

namespace longgen {
namespace {

// Elements that one thread takes at once; sums are made over these and then in order.
constexpr int64_t kChunk = int64_t{1} << 16;

int64_t num_chunks(int64_t count) { return (count + kChunk - 1) / kChunk; }

/// The numbers of one step that do not depend on the parameter. Shares of what is new are 1 - beta,
/// taken in double: fp32 has few digits of a beta near 1.
struct Factors {
  float grad_scale, new_share1, new_share2, step_size, inverse_root_correction2, eps;
};

void update(const Factors& f, float keep, int64_t count, const float* gradient, float* weight,
            float* m, float* v) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i] * f.grad_scale;
    m[i] += f.new_share1 * (g - m[i]);
    v[i] += f.new_share2 * (g * g - v[i]);
    const float size = std::sqrt(v[i]) * f.inverse_root_correction2 + f.eps;
    weight[i] = weight[i] * keep - f.step_size * m[i] / size;
  }
}

float* data_of(const at::Tensor& tensor) {
  LG_DCHECK(tensor.scalar_type() == at::kFloat && tensor.is_contiguous() &&
            tensor.device().is_cpu());
  return tensor.data_ptr<float>();
}

}  // namespace

AdamWState make_adamw_state(const ModelWeights& masters) {
  return {zeros_like(masters, at::kFloat), zeros_like(masters, at::kFloat)};
}

double gradient_norm(const ModelWeights& gradients) {
  if (gradients.embedding_VE.is_cuda()) {
    std::vector<at::Tensor> tensors;
    for (const NamedTensor& gradient : gradients.parameters()) tensors.push_back(gradient.tensor);
    return std::sqrt(gpu::sum_of_squares(tensors));
  }
  double total = 0;
  for (const NamedTensor& gradient : gradients.parameters()) {
    const float* values = data_of(gradient.tensor);
    const int64_t count = gradient.tensor.numel();
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
    for (const double sum : sums) total += sum;
  }
  return std::sqrt(total);
}

void adamw_step(const ModelWeights& gradients, double grad_scale, int64_t step,
                const AdamWOptions& options, ModelWeights& masters, AdamWState& state) {
  const double correction1 = 1 - std::pow(options.beta1, static_cast<double>(step));
  const double correction2 = 1 - std::pow(options.beta2, static_cast<double>(step));
  const Factors factors = {static_cast<float>(grad_scale),
                           static_cast<float>(1 - options.beta1),
                           static_cast<float>(1 - options.beta2),
                           static_cast<float>(options.learning_rate / correction1),
                           static_cast<float>(1 / std::sqrt(correction2)),
                           static_cast<float>(options.eps)};
  const auto weights = masters.parameters(), slopes = gradients.parameters(),
             first = state.m.parameters(), second = state.v.parameters();
  for (size_t p = 0; p < weights.size(); ++p) {
    const bool decays = weights[p].tensor.dim() >= 2;
    const auto keep =
        static_cast<float>(1 - (decays ? options.learning_rate * options.weight_decay : 0));
    if (weights[p].tensor.is_cuda()) {
      gpu::adamw(slopes[p].tensor, weights[p].tensor, first[p].tensor, second[p].tensor,
                 {factors.grad_scale, factors.new_share1, factors.new_share2, factors.step_size,
                  factors.inverse_root_correction2, factors.eps, keep});
      continue;
    }
    float *weight = data_of(weights[p].tensor), *gradient = data_of(slopes[p].tensor),
          *m = data_of(first[p].tensor), *v = data_of(second[p].tensor);
    const int64_t count = weights[p].tensor.numel();
    at::parallel_for(0, num_chunks(count), 1, [&](int64_t begin, int64_t end) {
      const int64_t from = begin * kChunk, size = std::min(count, end * kChunk) - from;
      update(factors, keep, size, gradient + from, weight + from, m + from, v + from);
    });
  }
}

}  // namespace longgen
