// measure/variant_values.h: what is measured of a variant of a model, and of the model itself.
#pragma once

#include <cstdint>
#include <vector>

#include "longgen/base/json.h"

namespace longgen {

/// Sums over tokens of far text whose positions lie in one range.
struct FarTextSums {
  int64_t num_tokens = 0;
  double nll = 0;  ///< negative log-probabilities, nats
  double kl = 0;   ///< KL(full model || variant) of the next token, nats

  FarTextSums& operator+=(const FarTextSums& other);
  bool operator==(const FarTextSums&) const = default;
};

/// Sums over one sample or several.
struct VariantValues {
  std::vector<FarTextSums> ranges;  ///< of positions, as far_text_edges() says
  int64_t num_answers = 0, num_answer_tokens = 0;
  int64_t num_right = 0;      ///< answers of which each token was the most probable one
  double answer_logprob = 0;  ///< of all answers' tokens, each given those before it, nats

  VariantValues& operator+=(const VariantValues& other);
  bool operator==(const VariantValues&) const = default;

  FarTextSums far_text() const;
  // These are means over tokens, in nats; 0 where there are no tokens.
  double far_nll() const;
  double far_kl() const;
  double logprob_of_answers() const;
};

/// Gives by how much the perplexity of far text is above the full model's: 0.01 is one per cent.
double perplexity_over(const VariantValues& variant, const VariantValues& full);

/// Gives the ranges' edges: from the first far position, doubling, to the length.
std::vector<int64_t> far_text_edges(int64_t first_far, int64_t length);

OrderedJson to_json(const VariantValues& values);
/// Reads to_json() back. Throws Error naming the source and the field on anything else.
VariantValues values_from_json(const JsonObject& json);

}  // namespace longgen
