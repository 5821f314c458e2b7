// ops/residual.h: the residual stream and the norms on it. A sum is made where the next norm reads
// it: on a GPU in one pass over memory, or with the product that follows, in no pass at all.
#pragma once

#include <ATen/core/Tensor.h>

#include "longgen/ops/feed_forward.h"
#include "longgen/ops/norm.h"

namespace longgen {

/// The residual stream: the sum x + delta of two tensors (T, E) that is not made yet, or x where
/// delta is undefined.
struct Residual {
  at::Tensor x_TE, delta_TE;
};
struct NormWeight {
  at::Tensor weight_E;
  double eps;
};

/// Makes the sum and its norm.
AddedNorm norm(Residual residual, const NormWeight& norm);

struct NormedLinear {
  at::Tensor sum_TE;
  at::Tensor out;  ///< (T, O)
};
/// Makes the sum, and weights.forward(norm(sum)); one kernel in decoding on a GPU.
NormedLinear norm_linear(Residual residual, const NormWeight& norm, const Linear& weights);

/// Gives the sum as x, and feed_forward(norm(sum)) as delta.
Residual norm_feed_forward(Residual residual, const NormWeight& norm, const FeedForward& weights);

}  // namespace longgen
