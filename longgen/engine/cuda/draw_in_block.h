// engine/cuda/draw_in_block.h: the draw of a row's next token by a block of threads: what Sampler
// (engine/sampler.h) does, as passes over the row that select by sums. All that is summed is whole
// numbers, so the token depends on no order of threads, and is the Sampler's where exp() is.
#pragma once

#include <cfloat>
#include <cmath>
#include <cstring>

#include "longgen/base/random.h"
#include "longgen/engine/cuda/block_select.h"
#include "longgen/engine/draw_rows.h"

namespace longgen::cuda {

struct DrawMemory {
  BlockMemory block;
  uint32_t num_listed;
  uint64_t listed[kMostBestTokens];
};

/// Places are the order of tokens: the logit's bits, so that larger logits have larger ones, then
/// the id, so that lower ones do. They are 7 digits of block_select.h, of which ids are 3.
constexpr int kIdBits = 24, kIdDigits = kIdBits / kDigitBits, kPlaceDigits = kIdDigits + 4;
constexpr uint64_t kLargestId = (uint64_t{1} << kIdBits) - 1;
static_assert(kMostDrawnClasses == int64_t{1} << kIdBits);
constexpr uint32_t kBitsOfNothing = 0x007FFFFF;  // of -inf
constexpr uint32_t kBitsOfBad = 0xFFFFFFFF;      // of NaN and +inf

LG_DEVICE inline uint64_t key_of_id(int id) { return kLargestId - static_cast<uint64_t>(id); }

LG_DEVICE inline uint64_t place_of(float logit, int id) {
  uint32_t bits = kBitsOfBad;
  if (logit <= FLT_MAX) {
    logit += 0.0F;  // makes 0 of -0, which is as probable
    memcpy(&bits, &logit, sizeof(bits));
    bits = bits >> 31 != 0 ? ~bits : bits | uint32_t{1} << 31;
  }
  return static_cast<uint64_t>(bits) << kIdBits | key_of_id(id);
}
LG_DEVICE inline uint32_t bits_of(uint64_t place) {
  return static_cast<uint32_t>(place >> kIdBits);
}
LG_DEVICE inline int id_of(uint64_t place) {
  return static_cast<int>(kLargestId - (place & kLargestId));
}

/// A product that is rounded before something is added to it, as on the CPU.
LG_DEVICE inline double rounded_product(double a, double b) {
#ifdef __CUDA_ARCH__
  return __dmul_rn(a, b);
#else
  return a * b;
#endif
}

/// Logits that are -inf stay so, and no other one becomes infinite.
LG_DEVICE inline float changed_logit(float logit, double value) {
  if (logit == -INFINITY) return logit;
  const double limit = FLT_MAX;
  return static_cast<float>(value > limit ? limit : value < -limit ? -limit : value);
}

/// Probabilities as whole multiples of 2^-bits of the largest logit's. As many bits as a sum of
/// `count` of them has room for.
struct Weights {
  LG_DEVICE Weights(float largest_logit, double its_temperature, int64_t count)
      : largest(largest_logit), temperature(its_temperature) {
    int bits = 62;
    for (; count > 0; count >>= 1) --bits;
    unit = static_cast<double>(uint64_t{1} << (bits < 44 ? bits : 44));
  }
  LG_DEVICE uint64_t operator()(float logit) const {
    const double exponent = (static_cast<double>(logit) - largest) / temperature;
    if (exponent < -31) return 0;  // below 2^-44: most need no exp()
    return static_cast<uint64_t>(exp(exponent) * unit);
  }
  double largest, temperature, unit;
};

/// The tokens that a filter has left, in order of place, and in order of id.
struct Kept {
  const float* logits_V;
  Weights weights;
  uint64_t least_place;
  double least_weight;

  LG_DEVICE uint64_t weight(int id) const {
    const float logit = logits_V[id];
    if (place_of(logit, id) < least_place) return 0;
    const uint64_t weight = weights(logit);
    return static_cast<double>(weight) < least_weight ? 0 : weight;
  }
};
struct CountedByPlace {
  const float* logits_V;
  uint64_t least_place;
  LG_DEVICE uint64_t key(int id) const { return place_of(logits_V[id], id); }
  LG_DEVICE uint64_t value(int id) const { return key(id) < least_place ? 0 : 1; }
};
struct WeighedByPlace {
  const Kept& kept;
  LG_DEVICE uint64_t key(int id) const { return place_of(kept.logits_V[id], id); }
  LG_DEVICE uint64_t value(int id) const { return kept.weight(id); }
};
struct WeighedById {
  const Kept& kept;
  LG_DEVICE uint64_t key(int id) const { return key_of_id(id); }
  LG_DEVICE uint64_t value(int id) const { return kept.weight(id); }
};

template <typename Block>
class RowDraw {
 public:
  LG_DEVICE RowDraw(Block& block, DrawMemory& memory, const DrawJob& job, int64_t row)
      : block_(block),
        memory_(memory),
        job_(job),
        row_(job.rows[row]),
        index_(row),
        num_classes_(static_cast<int>(job.num_classes)),
        logits_V_(job.logits_NV + row * job.num_logits) {}

  LG_DEVICE void run() {
    clear_memory(block_, memory_.block);
    const DrawnToken drawn = draw();
    if (drawn.status == DrawStatus::drawn && row_.logprobs >= 0) describe(drawn.token);
    if (block_.rank() != 0) return;
    job_.tokens[index_] = drawn;
    const bool is_good = drawn.status == DrawStatus::drawn;
    job_.drawn_S[row_.slot] = is_good ? drawn.token : 0;
    if (is_good && row_.counts_V != nullptr) ++row_.counts_V[drawn.token];
  }

 private:
  template <typename Visit>
  LG_DEVICE void for_each(int count, const Visit& visit) {
#pragma unroll 4
    for (int i = block_.rank(); i < count; i += block_.size()) visit(i);
  }

  LG_DEVICE uint64_t best_place(const float* logits_V, int count) {
    uint64_t best = 0;
    for_each(count, [&](int id) {
      const uint64_t place = place_of(logits_V[id], id);
      best = place > best ? place : best;
    });
    return largest_over_block(block_, memory_.block, best);
  }

  LG_DEVICE DrawnToken draw() {
    uint64_t best = best_place(logits_V_, num_classes_);
    if (bits_of(best) == kBitsOfBad) {
      const int id = id_of(best);
      const float logit = logits_V_[id];
      return {id, logit == logit ? DrawStatus::infinite : DrawStatus::not_a_number};
    }
    if (bits_of(best) == kBitsOfNothing) return {0, DrawStatus::nothing};
    const float* logits_V = logits_V_;
    if (row_.changed >= 0) {
      logits_V = changed();
      best = best_place(logits_V, num_classes_);
      if (bits_of(best) == kBitsOfNothing) return {0, DrawStatus::all_barred};
    }
    if (row_.temperature == 0) return {id_of(best), DrawStatus::drawn};
    return {draw_from(logits_V, logits_V[id_of(best)]), DrawStatus::drawn};
  }

  /// The row of scratch with the logits after bias, penalties and bars.
  LG_DEVICE const float* changed() {
    float* const to = job_.changed_CV + row_.changed * job_.num_classes;
    for_each(num_classes_, [&](int id) { to[id] = logits_V_[id]; });
    block_.sync();
    for_each(row_.num_bias, [&](int i) {
      const int token = row_.bias[i].token;
      if (i > 0 && row_.bias[i - 1].token == token) return;
      for (int j = i; j < row_.num_bias && row_.bias[j].token == token; ++j) {
        to[token] = changed_logit(to[token], to[token] + row_.bias[j].bias);
      }
    });
    block_.sync();
    if (row_.counts_V != nullptr) {
      for_each(num_classes_, [&](int id) { to[id] = penalized(to[id], row_.counts_V[id]); });
      block_.sync();
    }
    for_each(row_.num_barred, [&](int i) {
      const int token = row_.barred[i];
      if (token >= 0 && token < num_classes_) to[token] = -INFINITY;
    });
    if (row_.allowed != nullptr) {
      for_each(num_classes_, [&](int id) {
        if ((row_.allowed[id / 32] >> (id % 32) & 1) == 0) to[id] = -INFINITY;
      });
    }
    block_.sync();
    return to;
  }

  LG_DEVICE float penalized(float logit, uint32_t count) const {
    if (count == 0) return logit;
    const double repetition = row_.repetition_penalty;
    if (repetition != 1) {
      logit = changed_logit(logit, logit > 0 ? logit / repetition : logit * repetition);
    }
    count &= ~kInPrompt;
    if (count == 0 || (row_.frequency_penalty == 0 && row_.presence_penalty == 0)) return logit;
    const double by_count = rounded_product(row_.frequency_penalty, count);
    return changed_logit(logit, logit - by_count - row_.presence_penalty);
  }

  LG_DEVICE int draw_from(const float* logits_V, float largest) {
    // The lowest finite logit is the last that may be drawn.
    Kept kept = {logits_V, Weights(largest, row_.temperature, num_classes_),
                 static_cast<uint64_t>(kBitsOfNothing + 1) << kIdBits, 0};
    const auto keep = [&](uint64_t place) {
      if (place > kept.least_place) kept.least_place = place;
    };
    BlockMemory& memory = memory_.block;
    if (row_.top_k > 0 && row_.top_k < num_classes_) {
      const auto count = static_cast<uint64_t>(row_.top_k);
      keep(select<false>(block_, memory, num_classes_, kPlaceDigits,
                         CountedByPlace{logits_V, kept.least_place},
                         [&](uint64_t) { return count; }));
    }
    if (row_.top_p < 1) {
      keep(select<false>(block_, memory, num_classes_, kPlaceDigits, WeighedByPlace{kept},
                         [&](uint64_t all) {
                           const double share = row_.top_p * static_cast<double>(all);
                           const auto wanted = static_cast<uint64_t>(ceil(share));
                           return wanted > 1 ? wanted : 1;
                         }));
    }
    kept.least_weight = row_.min_p * kept.weights.unit;
    return id_of(
        select<true>(block_, memory, num_classes_, kIdDigits, WeighedById{kept}, [&](uint64_t all) {
          RandomStream random(mix_pair(row_.seed, row_.draw));
          return random.below(all) + 1;
        }));
  }

  /// Logprobs are those of the model: of the logits as they came.
  LG_DEVICE void describe(int token) {
    DrawnLogprobs& to = job_.logprobs[row_.logprobs];
    const double log_sum = log_of_sum();
    const uint64_t place = place_of(logits_V_[token], token);
    uint64_t num_better = 0;
    for_each(num_classes_, [&](int id) { num_better += place_of(logits_V_[id], id) > place; });
    num_better = sum_over_block(block_, memory_.block, num_better);
    if (block_.rank() == 0) {
      to.logprob = logits_V_[token] - log_sum;
      to.rank = static_cast<int64_t>(num_better) + 1;
    }
    if (row_.num_best > 0) list_best(to, log_sum);
  }

  LG_DEVICE double log_of_sum() {
    const auto count = static_cast<int>(job_.num_logits);
    const uint64_t best = best_place(logits_V_, count);
    const float largest = logits_V_[id_of(best)];
    if (bits_of(best) == kBitsOfBad) return NAN;  // beyond the tokens that are drawn
    const Weights weights(largest, 1, count);
    uint64_t sum = 0;
    for_each(count, [&](int id) { sum += weights(logits_V_[id]); });
    sum = sum_over_block(block_, memory_.block, sum);
    return largest + log(static_cast<double>(sum) / weights.unit);
  }

  LG_DEVICE void list_best(DrawnLogprobs& to, double log_sum) {
    if (block_.rank() == 0) memory_.num_listed = 0;
    uint64_t least = 0;
    if (row_.num_best < num_classes_) {
      const auto count = static_cast<uint64_t>(row_.num_best);
      least = select<false>(block_, memory_.block, num_classes_, kPlaceDigits,
                            CountedByPlace{logits_V_, 0}, [&](uint64_t) { return count; });
    } else {
      block_.sync();
    }
    for_each(num_classes_, [&](int id) {
      const uint64_t place = place_of(logits_V_[id], id);
      if (place >= least) memory_.listed[block_.add(&memory_.num_listed, 1)] = place;
    });
    block_.sync();
    const auto num_listed = static_cast<int>(memory_.num_listed);
    for_each(num_listed, [&](int i) {
      int rank = 0;
      for (int j = 0; j < num_listed; ++j) rank += memory_.listed[j] > memory_.listed[i];
      const int id = id_of(memory_.listed[i]);
      to.best[rank] = id;
      to.best_logprobs[rank] = logits_V_[id] - log_sum;
    });
  }

  Block& block_;
  DrawMemory& memory_;
  const DrawJob& job_;
  const DrawRow& row_;
  int64_t index_;
  int num_classes_;
  const float* logits_V_;
};

}  // namespace longgen::cuda
