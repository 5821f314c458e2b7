// What the tests of measure/ share: values of variants that were not measured but made up.
#pragma once

#include "longgen/measure/variant_values.h"

namespace longgen {

/// Makes the values of one sample with 100 tokens of far text and 10 tokens of answers. The means
/// are given, in nats a token.
inline VariantValues values_with_means(double nll, double kl, double answer_logprob) {
  VariantValues values;
  values.ranges = {{.num_tokens = 40, .nll = 40 * nll, .kl = 40 * kl},
                   {.num_tokens = 60, .nll = 60 * nll, .kl = 60 * kl}};
  values.num_answers = 4;
  values.num_answer_tokens = 10;
  values.num_right = answer_logprob > -1 ? 4 : 1;
  values.answer_logprob = 10 * answer_logprob;
  return values;
}

}  // namespace longgen
