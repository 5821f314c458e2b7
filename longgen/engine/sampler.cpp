#include "longgen/engine/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>

#include "longgen/base/check.h"
#include "longgen/base/random.h"
#include "longgen/engine/draw_setup.h"

namespace longgen {
namespace {

constexpr float kMaxFloat = std::numeric_limits<float>::max();

/// Weights fall into classes within 1/32 of each other: 64 powers of two, 32 steps in each.
constexpr size_t kNumClasses = 64 * 32;
size_t weight_class(uint64_t weight) {
  const auto leading = static_cast<size_t>(std::countl_zero(weight));
  return (63 - leading) * 32 + ((weight << leading) >> 58 & 31);
}

/// Logits that are -inf stay so, and no other one becomes infinite.
void set_logit(float& logit, double value) {
  if (std::isinf(logit)) return;
  logit = static_cast<float>(std::clamp<double>(value, -kMaxFloat, kMaxFloat));
}

}  // namespace

void check_sampling_options(const SamplingOptions& options) {
  // The conditions are written so that NaN fails them.
  const auto check = [](bool good, const char* name, const char* expected, auto found) {
    LG_CHECK(good, "[sample] ", name, ": expected ", expected, ", found ", found, ".");
  };
  check(options.temperature >= 0 && std::isfinite(options.temperature), "temperature",
        "a number of at least 0", options.temperature);
  check(options.top_k >= 0, "top_k", "a count, or 0 for all tokens", options.top_k);
  check(options.top_p > 0 && options.top_p <= 1, "top_p", "a number above 0 and at most 1",
        options.top_p);
  check(options.min_p >= 0 && options.min_p <= 1, "min_p", "a number from 0 to 1", options.min_p);
  check(options.repetition_penalty > 0 && options.repetition_penalty <= 1000, "repetition_penalty",
        "a number above 0 and at most 1000", options.repetition_penalty);
  const auto check_penalty = [&](const char* name, double penalty) {
    check(penalty >= -2 && penalty <= 2, name, "a number from -2 to 2", penalty);
  };
  check_penalty("frequency_penalty", options.frequency_penalty);
  check_penalty("presence_penalty", options.presence_penalty);
  for (const LogitBias& bias : options.logit_bias) {
    check(std::isfinite(bias.bias), "logit_bias", "numbers", bias.bias);
  }
}

Sampler::Sampler(const SamplingOptions& options) : options_(options) {
  check_sampling_options(options);
}

bool Sampler::more_probable(const Candidate& a, const Candidate& b) {
  return a.logit > b.logit || (a.logit == b.logit && a.id < b.id);
}

int32_t Sampler::next(std::span<const float> logits_V, const TokensBefore& before,
                      std::span<const int32_t> barred, std::span<const uint32_t> allowed) {
  const auto draw = static_cast<uint64_t>(num_steps_);
  select(logits_V, before, barred, allowed, ++num_steps_);
  if (candidates_.size() == 1) return candidates_.front().id;
  uint64_t left = RandomStream(mix_pair(options_.seed, draw)).below(total_weight());
  for (const Candidate& candidate : candidates_) {
    if (left < candidate.weight) return candidate.id;
    left -= candidate.weight;
  }
  LG_FAIL("[longgen] internal error: a draw beyond the last token. Please report this.");
}

std::vector<TokenProbability> Sampler::distribution(std::span<const float> logits_V,
                                                    const TokensBefore& before,
                                                    std::span<const int32_t> barred,
                                                    std::span<const uint32_t> allowed) {
  select(logits_V, before, barred, allowed, num_steps_ + 1);
  const auto total = static_cast<double>(total_weight());
  std::vector<TokenProbability> result;
  result.reserve(candidates_.size());
  for (const Candidate& candidate : candidates_) {
    result.push_back({candidate.id, static_cast<double>(candidate.weight) / total});
  }
  return result;
}

/// Leaves in candidates_ the tokens that may be drawn, with their weights.
void Sampler::select(std::span<const float> logits_V, const TokensBefore& before,
                     std::span<const int32_t> barred, std::span<const uint32_t> allowed,
                     int64_t step) {
  check_logits(logits_V, step);
  // The sum of all weights must stay below 2^63.
  weight_bits_ = std::min(44, 62 - static_cast<int>(std::bit_width(logits_V.size())));
  if (options_.repetition_penalty != 1 || counts_generated() || !options_.logit_bias.empty() ||
      !barred.empty() || !allowed.empty()) {
    changed_V_.assign(logits_V.begin(), logits_V.end());
    change_logits(before, step);
    bar(barred, allowed, step);
    logits_V = changed_V_;
  }
  if (options_.temperature == 0) {
    const auto best = std::max_element(logits_V.begin(), logits_V.end());
    candidates_.assign(1, {static_cast<int32_t>(best - logits_V.begin()), *best, 1});
    return;
  }
  collect_candidates(logits_V);
  set_weights();
  if (options_.top_p < 1) keep_top_p();
  const double least = options_.min_p * std::ldexp(1.0, weight_bits_);
  std::erase_if(candidates_, [least](const Candidate& candidate) {
    return static_cast<double>(candidate.weight) < least;
  });
}

void Sampler::check_logits(std::span<const float> logits_V, int64_t step) const {
  LG_CHECK(!logits_V.empty() && logits_V.size() <= INT32_MAX, "[sample] step ", step,
           ": expected 1 to 2147483647 logits, found ", logits_V.size(), ".");
  float largest = -INFINITY;
  bool good = true;
  for (const float logit : logits_V) {
    good &= logit <= kMaxFloat;  // false for NaN too
    largest = std::max(largest, logit);
  }
  if (good && largest > -INFINITY) return;
  const auto bad = std::find_if(logits_V.begin(), logits_V.end(),
                                [](float logit) { return !(logit <= kMaxFloat); });
  DrawnToken failed = {0, DrawStatus::nothing};
  if (bad != logits_V.end()) {
    failed = {static_cast<int32_t>(bad - logits_V.begin()),
              std::isnan(*bad) ? DrawStatus::not_a_number : DrawStatus::infinite};
  }
  LG_FAIL(draw_error(failed, step, std::ssize(logits_V)));
}

bool Sampler::counts_generated() const {
  return options_.frequency_penalty != 0 || options_.presence_penalty != 0;
}

void Sampler::check_tokens(std::span<const int32_t> ids, int64_t step) const {
  for (const int32_t id : ids) {
    LG_CHECK(id >= 0 && static_cast<size_t>(id) < changed_V_.size(), "[sample] step ", step,
             ": expected tokens from 0 to ", changed_V_.size() - 1, ", found ", id, ".");
  }
}

/// Changes changed_V_ by bias and penalties.
void Sampler::change_logits(const TokensBefore& before, int64_t step) {
  add_bias(step);
  const bool counts_all = options_.repetition_penalty != 1;
  if (counts_all) check_tokens(before.prompt, step);
  if (counts_all || counts_generated()) {
    check_tokens(before.generated, step);
    counts_V_.resize(changed_V_.size());
  }
  if (counts_all) penalize_repetition(before);
  if (counts_generated()) penalize_generated(before.generated);
}

void Sampler::add_bias(int64_t step) {
  for (const auto& [token, bias] : options_.logit_bias) {
    check_tokens(std::span(&token, 1), step);
    float& logit = changed_V_[static_cast<size_t>(token)];
    set_logit(logit, logit + bias);
  }
}

void Sampler::penalize_repetition(const TokensBefore& before) {
  for (const std::span<const int32_t> ids : {before.prompt, before.generated}) {
    for (const int32_t id : ids) {
      // A token which comes twice is penalized once.
      if (counts_V_[static_cast<size_t>(id)]++ > 0) continue;
      float& logit = changed_V_[static_cast<size_t>(id)];
      const double penalty = options_.repetition_penalty;
      set_logit(logit, logit > 0 ? logit / penalty : logit * penalty);
    }
  }
  for (const std::span<const int32_t> ids : {before.prompt, before.generated}) {
    for (const int32_t id : ids) counts_V_[static_cast<size_t>(id)] = 0;
  }
}

void Sampler::penalize_generated(std::span<const int32_t> generated) {
  for (const int32_t id : generated) ++counts_V_[static_cast<size_t>(id)];
  for (const int32_t id : generated) {
    int32_t& count = counts_V_[static_cast<size_t>(id)];
    if (count == 0) continue;
    float& logit = changed_V_[static_cast<size_t>(id)];
    set_logit(logit, logit - options_.frequency_penalty * count - options_.presence_penalty);
    count = 0;
  }
}

void Sampler::bar(std::span<const int32_t> barred, std::span<const uint32_t> allowed,
                  int64_t step) {
  if (barred.empty() && allowed.empty()) return;
  for (const int32_t id : barred) {
    if (id >= 0 && static_cast<size_t>(id) < changed_V_.size()) {
      changed_V_[static_cast<size_t>(id)] = -INFINITY;
    }
  }
  for (size_t id = 0; !allowed.empty() && id < changed_V_.size(); ++id) {
    if ((allowed[id / 32] >> (id % 32) & 1) == 0) changed_V_[id] = -INFINITY;
  }
  LG_CHECK(*std::max_element(changed_V_.begin(), changed_V_.end()) > -INFINITY,
           draw_error({0, DrawStatus::all_barred}, step, std::ssize(changed_V_)));
}

/// Collects the top_k most probable tokens.
void Sampler::collect_candidates(std::span<const float> logits_V) {
  // -inf is never drawn, so the lowest finite logit with the highest id is the last to be let in.
  Candidate last{INT32_MAX, -kMaxFloat, 0};
  if (options_.top_k > 0 && static_cast<uint64_t>(options_.top_k) < logits_V.size()) {
    last = find_top_k(logits_V, static_cast<size_t>(options_.top_k), last);
  }
  candidates_.clear();
  for (size_t i = 0; i < logits_V.size(); ++i) {
    const float logit = logits_V[i];
    const auto id = static_cast<int32_t>(i);
    if (logit > last.logit || (logit == last.logit && id <= last.id)) {
      candidates_.push_back({id, logit, 0});
    }
  }
}

/// The last of the `count` most probable tokens, or `last` when there are fewer. Candidates gather
/// in a buffer; when it is full the worse ones go, and from then on most tokens are seen to be
/// worse at a glance.
Sampler::Candidate Sampler::find_top_k(std::span<const float> logits_V, size_t count,
                                       Candidate last) {
  const size_t capacity = 2 * count + 64;
  scratch_.clear();
  const auto drop_worse = [&] {
    const auto nth = scratch_.begin() + static_cast<ptrdiff_t>(count) - 1;
    std::nth_element(scratch_.begin(), nth, scratch_.end(), more_probable);
    scratch_.resize(count);
    last = scratch_.back();
  };
  for (size_t i = 0; i < logits_V.size(); ++i) {
    // Once the buffer was full, an equal logit loses by its higher id.
    const bool good =
        scratch_.size() < count ? logits_V[i] >= last.logit : logits_V[i] > last.logit;
    if (!good) continue;
    scratch_.push_back({static_cast<int32_t>(i), logits_V[i], 0});
    if (scratch_.size() == capacity) drop_worse();
  }
  if (scratch_.size() >= count) drop_worse();
  return last;
}

void Sampler::set_weights() {
  float largest = -INFINITY;
  for (const Candidate& candidate : candidates_) largest = std::max(largest, candidate.logit);
  const double unit = std::ldexp(1.0, weight_bits_);
  for (Candidate& candidate : candidates_) {
    const double distance = static_cast<double>(candidate.logit) - static_cast<double>(largest);
    candidate.weight = static_cast<uint64_t>(std::exp(distance / options_.temperature) * unit);
  }
  std::erase_if(candidates_, [](const Candidate& candidate) { return candidate.weight == 0; });
}

void Sampler::keep_top_p() {
  const double share = options_.top_p * static_cast<double>(total_weight());
  uint64_t wanted = std::max<uint64_t>(1, static_cast<uint64_t>(std::ceil(share)));
  // The weights in classes of similar ones, to see in which of them the sum is reached.
  class_weights_.assign(kNumClasses, 0);
  for (const Candidate& candidate : candidates_) {
    class_weights_[weight_class(candidate.weight)] += candidate.weight;
  }
  size_t last_class = kNumClasses - 1;
  while (class_weights_[last_class] < wanted) wanted -= class_weights_[last_class--];
  scratch_.clear();
  for (const Candidate& candidate : candidates_) {
    if (weight_class(candidate.weight) == last_class) scratch_.push_back(candidate);
  }
  const Candidate last = find_weight(wanted);
  std::erase_if(candidates_,
                [&last](const Candidate& candidate) { return more_probable(last, candidate); });
}

/// The last of the fewest most probable tokens of scratch_ that have `wanted` weight together.
Sampler::Candidate Sampler::find_weight(uint64_t wanted) {
  // Halves the range in which it stands.
  auto begin = scratch_.begin(), end = scratch_.end();
  while (end - begin > 1) {
    const auto middle = begin + (end - begin) / 2;
    std::nth_element(begin, middle, end, more_probable);
    uint64_t weight = 0;
    for (auto it = begin; it != middle; ++it) weight += it->weight;
    if (weight >= wanted) {
      end = middle;
    } else {
      wanted -= weight;
      begin = middle;
    }
  }
  return *begin;
}

uint64_t Sampler::total_weight() const {
  uint64_t total = 0;
  for (const Candidate& candidate : candidates_) total += candidate.weight;
  return total;
}

}  // namespace longgen
