#include "longgen/ops/feed_forward.h"

#include <ATen/ops/empty.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/ops/gradients.h"
#include "longgen/ops/swiglu.h"

namespace longgen {
namespace {

int64_t count_chunks(const at::Tensor& x_TE, int64_t chunk_rows) {
  LG_DCHECK(chunk_rows > 0);
  return std::max<int64_t>(1, (x_TE.size(0) + chunk_rows - 1) / chunk_rows);
}

/// The rows of chunk i of n.
struct Chunk {
  Chunk(int64_t num_rows, int64_t i, int64_t n) : begin(num_rows * i / n) {
    count = num_rows * (i + 1) / n - begin;
  }
  at::Tensor of(const at::Tensor& x) const { return x.narrow(0, begin, count); }
  int64_t begin, count;
};

/// Puts the gradients of the only chunk of rows to `sums`, or adds those of one of several.
void add_chunk(const Linear& weights, const at::Tensor& grad_TO, const at::Tensor& x_TI,
               bool only_chunk, Linear& sums) {
  if (only_chunk) {
    sums = weights.gradients(grad_TO, x_TI);
  } else {
    weights.add_gradients(grad_TO, x_TI, sums);
  }
}

}  // namespace

at::Tensor feed_forward(at::Tensor x_TE, const FeedForward& w, std::vector<at::Tensor>* kept,
                        int64_t chunk_rows) {
  const int64_t num_rows = x_TE.size(0), num_chunks = count_chunks(x_TE, chunk_rows);
  LG_DCHECK(kept == nullptr || kept->empty());
  if (num_chunks == 1 || needs_gradient(x_TE, w.gate_up.weight, w.down.weight)) {
    const at::Tensor gate_up = w.gate_up.forward(x_TE);
    x_TE.reset();  // nobody else's in inference
    if (kept != nullptr) kept->push_back(gate_up);
    return w.down.forward(swiglu(gate_up));
  }
  const at::Tensor out_TE = at::empty({num_rows, w.down.weight.size(0)}, x_TE.options());
  for (int64_t i = 0; i < num_chunks; ++i) {
    const Chunk chunk(num_rows, i, num_chunks);
    const at::Tensor gate_up = w.gate_up.forward(chunk.of(x_TE));
    w.down.forward_into(chunk.of(out_TE), swiglu(gate_up));
    if (kept != nullptr) kept->push_back(gate_up);
  }
  return out_TE;
}

FeedForwardGradients feed_forward_backward(const at::Tensor& grad_TE, const at::Tensor& x_TE,
                                           const FeedForward& w,
                                           const std::vector<at::Tensor>& kept,
                                           int64_t chunk_rows) {
  const at::NoGradGuard no_grad;
  const int64_t num_rows = x_TE.size(0), num_chunks = count_chunks(x_TE, chunk_rows);
  LG_DCHECK(kept.empty() || kept.size() == static_cast<size_t>(num_chunks));
  FeedForwardGradients result = {at::empty(x_TE.sizes(), x_TE.options()), {}};
  FeedForward& sums = result.weights;
  for (int64_t i = 0; i < num_chunks; ++i) {
    const Chunk chunk(num_rows, i, num_chunks);
    const at::Tensor x = chunk.of(x_TE), grad = chunk.of(grad_TE);
    const at::Tensor gate_up = kept.empty() ? w.gate_up.forward(x) : kept[static_cast<size_t>(i)];
    add_chunk(w.down, grad, swiglu_forward(gate_up), num_chunks == 1, sums.down);
    const at::Tensor grad_gate_up = swiglu_backward(w.down.backward(grad), gate_up);
    add_chunk(w.gate_up, grad_gate_up, x, num_chunks == 1, sums.gate_up);
    w.gate_up.backward_into(chunk.of(result.x_TE), grad_gate_up);
  }
  return result;
}

}  // namespace longgen
