// model/attention_layer.h: the first half of a decoder's layer, x + attention(norm(x)), in both
// directions.
#pragma once

#include <ATen/core/Tensor.h>
#include <torch/csrc/autograd/edge.h>

#include <cstdint>

#include "longgen/model/attention_context.h"
#include "longgen/model/config.h"
#include "longgen/model/weights.h"
#include "longgen/ops/residual.h"
#include "longgen/ops/rope.h"

namespace longgen {

/// What AttentionLayer::backward() reads. The graph of the layer's result stands behind it.
struct AttentionRecord {
  at::Tensor input_TE;  ///< where the graph ends
  /// Where the gradient of the result enters the graph. The result itself need not stay.
  torch::autograd::Edge result;
};

/// Grouped-query attention with RoPE, behind an RMS norm. It holds the layer's weights, which are
/// not copied, and no state.
class AttentionLayer {
 public:
  AttentionLayer(int64_t index, const ModelConfig& config, const LayerWeights& weights);

  /// Takes the residual stream (T, E) and gives its sum x, with attention(norm(x)) as what is to be
  /// added to it. `rope` has a row for each row of the stream.
  Residual forward(Residual residual, const RopeTable& rope, AttentionContext& context) const;

  /// Does the same with x itself, and fills `record` for the backward pass.
  Residual forward(const at::Tensor& x_TE, const RopeTable& rope, AttentionContext& context,
                   AttentionRecord& record) const;
  /// Takes the gradient of x + attention(norm(x)), (T, E), whose memory it may use again, to that
  /// of x, and adds those of this half's weights to `gradients`. The graph is used up.
  at::Tensor backward(at::Tensor grad_TE, const AttentionRecord& record,
                      const LayerWeights& gradients) const;

 private:
  int64_t index_, num_heads_, head_size_;
  double norm_eps_;
  Pattern pattern_;
  LayerWeights weights_;
};

}  // namespace longgen
