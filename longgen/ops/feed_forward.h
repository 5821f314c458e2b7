// ops/feed_forward.h: the feed-forward network of a layer, of many rows a chunk at a time.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "longgen/ops/activation.h"
#include "longgen/ops/linear.h"

namespace longgen {

/// The weights of a feed-forward network, or their gradients.
struct FeedForward {
  Linear gate_up;                             ///< (2F, E): rows of gate, then up
  Linear down;                                ///< (E, F)
  Activation activation = Activation::kSilu;  ///< of the gate
};

/// How many rows the longest chunk has. At 131,072 tokens of a 7B model the intermediate tensors
/// then take 1.7 GiB instead of 13, and the products are still large enough for the GPU (more than
/// 100 tiles of 128 rows).
inline constexpr int64_t kFeedForwardRows = 16384;

/// Takes x (T, E) to down(glu(gate_up(x))), (T, E). Where autograd records it or T is at most
/// chunk_rows, it does so in one piece; otherwise in chunks of equal length, one row more or less.
/// With `kept`, which must be empty, it puts there what gate_up gave of each chunk, for the
/// backward pass.
at::Tensor feed_forward(at::Tensor x_TE, const FeedForward& weights,
                        std::vector<at::Tensor>* kept = nullptr,
                        int64_t chunk_rows = kFeedForwardRows);

struct FeedForwardGradients {
  at::Tensor x_TE;
  /// The gradients are in the weights' dtype where there is one chunk, as autograd gives them. Sums
  /// over several chunks are made in fp32, in the order of the chunks, and stay fp32.
  FeedForward weights;
};
/// Gives the gradients of feed_forward() with the same x, weights and chunk_rows. `kept` is what it
/// kept; if that is empty, gate_up is computed again, which gives the same bits. Autograd does not
/// record it. It takes fp32 and bf16.
FeedForwardGradients feed_forward_backward(const at::Tensor& grad_TE, const at::Tensor& x_TE,
                                           const FeedForward& weights,
                                           const std::vector<at::Tensor>& kept = {},
                                           int64_t chunk_rows = kFeedForwardRows);

}  // namespace longgen
