// bench/attention_check.h: is what was timed right? Some rows of outputs and gradients, at any
// length, against plain sums in fp64.
#pragma once

#include "longgen/bench/attention_case.h"
#include "longgen/bench/row_error.h"

namespace longgen {

/// The largest error of a row (row_errors()) of the output, and the largest absolute one of the LSE
/// where it is given: of seven queries spread over the sequence, the first and the last among them,
/// of the first and the last head.
double output_error(const AttentionInputs& inputs, const Pattern& pattern,
                    const Attended& attended);

/// The largest error of a row of the gradients: of q at the same queries; of k and v at two
/// keys, one of them the first, of the first and the last KV head, from every query that
/// sees them. Probabilities of the latter come from the LSE that the forward pass gave,
/// which output_error() checks.
double gradient_error(const AttentionInputs& inputs, const Pattern& pattern,
                      const Attended& attended, const AttentionGradients& gradients);

}  // namespace longgen
