// tests/unit/engine/draw_cases.h: random and adversarial draws, for those who draw otherwise than
// Sampler does.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "longgen/base/check.h"
#include "longgen/engine/sampler.h"

namespace longgen {

struct DrawCase {
  SamplingOptions sampling;
  std::vector<float> logits;  // of which the last ones may stand for no token
  int64_t num_classes = 0;
  std::vector<int32_t> prompt, generated, barred;
  std::vector<uint32_t> allowed;
  int64_t num_best = -1;  // -1: no logprobs
  std::string what;
};

inline DrawCase random_draw_case(std::mt19937_64& random, int round, size_t vocab_size) {
  const auto pick = [&random](const auto& values) { return values[random() % values.size()]; };
  DrawCase draw;
  SamplingOptions& options = draw.sampling;
  options.temperature = pick(std::vector<double>{0, 0.1, 0.7, 1, 1.5, 100});
  options.top_k = pick(std::vector<int64_t>{0, 0, 1, 2, 5, 40, 1000000});
  options.top_p = pick(std::vector<double>{1, 1, 1e-9, 0.1, 0.5, 0.9, 0.999, 1 - 0x1p-53});
  options.min_p = pick(std::vector<double>{0, 0, 0.01, 0.2, 1});
  options.repetition_penalty = pick(std::vector<double>{1, 1, 1.1, 1.7, 0.6});
  options.frequency_penalty = pick(std::vector<double>{0, 0, 0.3, -1.5});
  options.presence_penalty = pick(std::vector<double>{0, 0, 1.2, -0.5});
  options.seed = random();
  std::normal_distribution<double> normal(0, pick(std::vector<double>{0.01, 1, 4, 12}));
  for (size_t i = 0; i < vocab_size; ++i) {
    draw.logits.push_back(static_cast<float>(normal(random)));
  }
  if (round % 4 == 1) std::sort(draw.logits.begin(), draw.logits.end());
  if (round % 4 == 2) std::sort(draw.logits.rbegin(), draw.logits.rend());
  if (round % 3 == 0) {  // many equal ones, zeros of both signs among them
    for (float& logit : draw.logits) logit = std::round(logit * 2) / 2;
  }
  if (round % 7 == 3) {
    for (float& logit : draw.logits) {
      if (random() % 2 == 0) logit = -std::numeric_limits<float>::infinity();
    }
    draw.logits[random() % vocab_size] = 1;
  }
  if (round % 11 == 5)
    draw.logits[random() % vocab_size] = (random() % 2 == 0 ? 1.0F : -1.0F) * 3e38F;
  draw.num_classes =
      static_cast<int64_t>(vocab_size - (round % 5 == 4 ? random() % vocab_size : 0));
  const auto some_tokens = [&](size_t most) {
    std::vector<int32_t> tokens;
    for (size_t i = random() % most; i > 0; --i) {
      tokens.push_back(static_cast<int32_t>(random() % static_cast<size_t>(draw.num_classes)));
    }
    return tokens;
  };
  draw.prompt = some_tokens(40);
  draw.generated = some_tokens(40);
  if (round % 2 == 0) {
    for (const int32_t id : some_tokens(5)) {
      options.logit_bias.push_back({id, pick(std::vector<double>{2.5, -100, 0.001, 1e300})});
    }
  }
  if (round % 3 == 1) draw.barred = some_tokens(5);
  if (round % 13 == 6) draw.barred.insert(draw.barred.end(), {-5, 1 << 30});
  if (round % 5 == 2) {
    for (int64_t word = 0; word <= draw.num_classes / 32; ++word) {
      draw.allowed.push_back(static_cast<uint32_t>(random() & random() & random()));
    }
  }
  if (round % 2 == 1) draw.num_best = static_cast<int64_t>(random() % 21);
  draw.what = detail::concat("round ", round, ", V ", draw.num_classes, " of ", vocab_size,
                             ", temperature ", options.temperature, ", top_k ", options.top_k,
                             ", top_p ", options.top_p, ", min_p ", options.min_p);
  return draw;
}

}  // namespace longgen
