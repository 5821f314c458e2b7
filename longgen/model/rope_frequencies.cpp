#include "longgen/model/rope_frequencies.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace longgen {
namespace {

constexpr double kTurn = 2 * std::numbers::pi;

double llama3_frequency(double frequency, const RopeConfig& rope) {
  const double turns = static_cast<double>(rope.original_context) * frequency / kTurn;
  if (turns < rope.low_freq_factor) return frequency / rope.factor;
  if (turns > rope.high_freq_factor) return frequency;
  const double share =
      (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1 - share) * frequency / rope.factor + share * frequency;
}

/// Returns the dimension (not whole) that turns `turns` times within the original context.
double yarn_dimension(double turns, const RopeConfig& rope, int64_t head_size) {
  return static_cast<double>(head_size) *
         std::log(static_cast<double>(rope.original_context) / (turns * kTurn)) /
         (2 * std::log(rope.base));
}

void scale_yarn(std::vector<double>& frequencies, const RopeConfig& rope, int64_t head_size) {
  double low = yarn_dimension(rope.beta_fast, rope, head_size);
  double high = yarn_dimension(rope.beta_slow, rope, head_size);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(head_size - 1));
  if (low == high) high += 0.001;  // as the reference does: no division by zero
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double slow = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= slow / rope.factor + (1 - slow);
  }
}

}  // namespace

std::vector<double> rope_frequencies(const RopeConfig& rope, int64_t head_size) {
  std::vector<double> frequencies(head_size / 2);
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double exponent = 2.0 * static_cast<double>(i) / static_cast<double>(head_size);
    frequencies[i] = std::pow(rope.base, -exponent);
  }
  switch (rope.scaling) {
    case RopeConfig::Scaling::none:
      break;
    case RopeConfig::Scaling::linear:
      for (double& frequency : frequencies) frequency /= rope.factor;
      break;
    case RopeConfig::Scaling::llama3:
      for (double& frequency : frequencies) frequency = llama3_frequency(frequency, rope);
      break;
    case RopeConfig::Scaling::yarn:
      scale_yarn(frequencies, rope, head_size);
      break;
  }
  return frequencies;
}

double ntk_rope_base(double base, int64_t original, int64_t context, int64_t head_size) {
  const double growth = static_cast<double>(context) / static_cast<double>(original);
  const auto dims = static_cast<double>(head_size);
  return growth <= 1 ? base : base * std::pow(growth, dims / (dims - 2));
}

double training_rope_base(double base, int64_t original, int64_t context) {
  const double growth = static_cast<double>(context) / static_cast<double>(original);
  return growth <= 1 ? base : base * growth * growth;
}

double yarn_attention_factor(double factor) {
  return factor <= 1 ? 1.0 : 0.1 * std::log(factor) + 1.0;
}

}  // namespace longgen
