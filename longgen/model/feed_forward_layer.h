// model/feed_forward_layer.h: the second half of a decoder's layer, x + feed_forward(norm(x)), in
// both directions.
#pragma once

#include <ATen/core/Tensor.h>

#include <optional>
#include <vector>

#include "longgen/model/config.h"
#include "longgen/model/weights.h"
#include "longgen/ops/feed_forward.h"
#include "longgen/ops/residual.h"

namespace longgen {

/// What FeedForwardLayer::backward() reads.
struct FeedForwardRecord {
  at::Tensor sum_TE;       ///< x
  at::Tensor normed_TE;    ///< norm(x)
  at::Tensor inverse_rms;  ///< (T) fp32, of the norm
  /// What the network gave and the norm after it read; where undefined, it is computed again.
  at::Tensor output_TE, output_inverse_rms;
  /// What the network keeps of each chunk of rows; where empty, it is computed again.
  std::vector<at::Tensor> gate_up;
};

/// A gated feed-forward network behind an RMS norm and, in some families, before another. It holds
/// the layer's weights, which are not copied, and no state. Nothing of it needs a graph: tensors go
/// as soon as they are read, and many rows go through the network in chunks.
class FeedForwardLayer {
 public:
  FeedForwardLayer(const ModelConfig& config, const LayerWeights& weights);

  /// Takes the residual stream (T, E) and gives its sum x, with feed_forward(norm(x)) as what is to
  /// be added to it.
  Residual forward(Residual residual) const;

  /// Makes x and its norm of the residual stream, which is all that backward() cannot do without.
  FeedForwardRecord record(const Residual& residual) const;
  /// Gives x + feed_forward(norm(x)), (T, E), of a record. With `keeps` the record then has what
  /// backward() reads, otherwise it is used up.
  at::Tensor forward(FeedForwardRecord& record, bool keeps) const;
  /// Takes the gradient of x + feed_forward(norm(x)), (T, E), to that of x, and adds those of this
  /// half's weights to `gradients`.
  at::Tensor backward(const at::Tensor& grad_TE, FeedForwardRecord record,
                      const LayerWeights& gradients) const;

 private:
  /// Takes the gradient of the half's output to that of the network's, (T, E).
  at::Tensor output_gradient(const at::Tensor& grad_TE, FeedForwardRecord& record,
                             const LayerWeights& gradients) const;

  NormWeight norm_;
  std::optional<NormWeight> post_norm_;
  FeedForward network_;
};

}  // namespace longgen
