// engine/sampler.h: from the logits of one step to the next token.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace longgen {

struct LogitBias {
  int32_t token;
  double bias;
};

/// The values that are set here switch every filter off. They act in this order.
struct SamplingOptions {
  std::vector<LogitBias> logit_bias = {};  ///< is added to the logits of tokens, each finite
  /// Of every distinct token that came before, a positive logit is divided by this and a negative
  /// one multiplied (as in transformers). 1: off; above 0, at most 1000.
  double repetition_penalty = 1;
  /// Are subtracted from the logit of a token that was generated: one for each time, the other
  /// once (as in OpenAI's API, which does not count the prompt either). -2 to 2; 0: off.
  double frequency_penalty = 0, presence_penalty = 0;
  double temperature = 1;  ///< logits are divided by it; 0: always the most probable token
  int64_t top_k = 0;       ///< keep the k most probable tokens; 0: all
  /// Keep the fewest most probable tokens that have this share of what is left; above 0, at most 1.
  double top_p = 1;
  double min_p = 0;   ///< keep tokens with at least this share of the most probable one's; 0 to 1
  uint64_t seed = 0;  ///< of the draws
};

/// Throws Error naming the option that is out of range.
void check_sampling_options(const SamplingOptions& options);

/// The tokens that came before the one that is drawn.
struct TokensBefore {
  std::span<const int32_t> prompt = {};
  std::span<const int32_t> generated = {};
};

struct TokenProbability {
  int32_t id;
  double probability;
};

/// Draws tokens. Of two tokens with equal logits the lower id counts as the more probable one, so
/// that every filter keeps one certain set. Probabilities are whole multiples of 2^-44 of the most
/// probable token's (vocabularies up to 262,143; coarser for larger ones): sums are then exact in
/// any order, and draws do not depend on platform or standard library. A token below that
/// resolution is never drawn. Time grows with the vocabulary, not faster: nothing is sorted.
///
/// What draw number k takes depends on the seed and k alone, not on the draws before it: the same
/// text comes whatever else is drawn beside it, and a GPU can draw many sequences' tokens at once.
class Sampler {
 public:
  /// Throws Error as check_sampling_options().
  explicit Sampler(const SamplingOptions& options);

  /// The next token for logits_V (V of 1 to 2^31 - 1, -inf: never drawn). `before` is what the
  /// penalties count, in any order; it is not read while they are off. `barred` tokens are not
  /// drawn; any may stand there. Neither are those of which `allowed`, where it is given, has no
  /// bit (t % 32 of word t / 32). Throws Error naming the step (1 for the first call) when a logit
  /// is NaN or +inf, when no token can be drawn, and when a token of `before` or of the bias lies
  /// outside [0, V).
  int32_t next(std::span<const float> logits_V, const TokensBefore& before,
               std::span<const int32_t> barred = {}, std::span<const uint32_t> allowed = {});

  /// What next() would draw from with these arguments: all tokens with a probability above 0, in
  /// order of id. Does not count as a step.
  std::vector<TokenProbability> distribution(std::span<const float> logits_V,
                                             const TokensBefore& before,
                                             std::span<const int32_t> barred = {},
                                             std::span<const uint32_t> allowed = {});

 private:
  struct Candidate {
    int32_t id;
    float logit;
    uint64_t weight;  // its probability, times 2^weight_bits_ / that of the most probable token
  };
  static bool more_probable(const Candidate& a, const Candidate& b);

  void select(std::span<const float> logits_V, const TokensBefore& before,
              std::span<const int32_t> barred, std::span<const uint32_t> allowed, int64_t step);
  void check_logits(std::span<const float> logits_V, int64_t step) const;
  bool counts_generated() const;
  void check_tokens(std::span<const int32_t> ids, int64_t step) const;
  void change_logits(const TokensBefore& before, int64_t step);
  void add_bias(int64_t step);
  void penalize_repetition(const TokensBefore& before);
  void penalize_generated(std::span<const int32_t> generated);
  void bar(std::span<const int32_t> barred, std::span<const uint32_t> allowed, int64_t step);
  void collect_candidates(std::span<const float> logits_V);
  Candidate find_top_k(std::span<const float> logits_V, size_t count, Candidate last);
  void set_weights();
  void keep_top_p();
  Candidate find_weight(uint64_t wanted);
  uint64_t total_weight() const;

  SamplingOptions options_;
  int64_t num_steps_ = 0;
  std::vector<float> changed_V_;   // the logits with bias and penalties
  std::vector<int32_t> counts_V_;  // of tokens, 0 between calls
  int weight_bits_ = 0;
  std::vector<Candidate> candidates_;  // in order of id
  std::vector<Candidate> scratch_;     // some of them, in some other order
  std::vector<uint64_t> class_weights_;
};

}  // namespace longgen
