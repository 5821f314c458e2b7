// bench/attention_check.h: is what was timed right? Some rows of outputs and gradients, at any
// length, against plain sums in fp64.
#pragma once

#include "longgen/bench/attention_case.h"

namespace longgen {

/// The largest error of a checked row. A row's error is its largest difference from fp64, over the
/// row's size: its largest number, or, where terms cancel, the largest root of the sum of the
/// squares of the terms that one number is the sum of. Rounding terms at random errs by that times
/// the spacing.
///
/// Tolerances. bf16: numbers are rounded by up to 2^-9 of themselves. An output adds the rounding
/// of its weights (at random, so up to four standard deviations of 2^-9 / sqrt(3)) to its own: less
/// than 2^-7. A gradient adds the rounding of the output that it starts from: 2^-6. fp32 sums of
/// this kind err by some 2^-20; 2^-14 leaves room for the order of sums of 10^5 terms.
double output_tolerance(at::ScalarType dtype);
double gradient_tolerance(at::ScalarType dtype);

/// Output, and LSE (where it is given) by its absolute error, of seven queries spread over the
/// sequence, the first and the last among them, of the first and the last head.
double output_error(const AttentionInputs& inputs, const Pattern& pattern,
                    const Attended& attended);

/// Gradients: of the same rows of q; and of k and v at two keys, one of them the first, of the
/// first and the last KV head, from every query that sees them. Probabilities of the latter come
/// from the LSE that the forward pass gave, which output_error() checks.
double gradient_error(const AttentionInputs& inputs, const Pattern& pattern,
                      const Attended& attended, const AttentionGradients& gradients);

}  // namespace longgen
