#include "longgen/ops/feed_forward.h"

#include <ATen/ops/addmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

#include "longgen/base/check.h"
#include "longgen/ops/gradients.h"
#include "longgen/ops/linear.h"
#include "longgen/ops/swiglu.h"
#include "longgen/ops/tensors.h"

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

void linear_out(at::Tensor out, const at::Tensor& x, const at::Tensor& weight,
                const at::Tensor& bias) {
  if (bias.defined()) {
    at::addmm_out(out, bias, x, weight.t());
  } else {
    at::mm_out(out, x, weight.t());
  }
}

/// sum = or += grad^T x, and its bias's gradient: the sum of grad's rows.
void add_gradients(const at::Tensor& grad_TO, const at::Tensor& x_TI, bool only_chunk,
                   at::Tensor& sum_OI, at::Tensor* bias_O) {
  if (only_chunk) {
    sum_OI = at::mm(grad_TO.t(), x_TI);
    if (bias_O != nullptr) *bias_O = grad_TO.sum(0);
    return;
  }
  const at::ScalarType type = compute_type(x_TI);
  if (!sum_OI.defined()) {
    sum_OI = at::zeros({grad_TO.size(1), x_TI.size(1)}, x_TI.options().dtype(type));
  }
  add_weight_gradient(grad_TO, x_TI, sum_OI);
  if (bias_O == nullptr) return;
  const at::Tensor rows = grad_TO.sum(0, /*keepdim=*/false, type);
  *bias_O = bias_O->defined() ? bias_O->add_(rows) : rows;
}

at::Tensor* if_wanted(const at::Tensor& bias, at::Tensor& gradient) {
  return bias.defined() ? &gradient : nullptr;
}

}  // namespace

at::Tensor feed_forward(at::Tensor x_TE, const FeedForward& w, std::vector<at::Tensor>* kept,
                        int64_t chunk_rows) {
  const int64_t num_rows = x_TE.size(0), num_chunks = count_chunks(x_TE, chunk_rows);
  LG_DCHECK(kept == nullptr || kept->empty());
  if (num_chunks == 1 || needs_gradient(x_TE, w.gate_up, w.down)) {
    const at::Tensor gate_up = linear(x_TE, w.gate_up, w.gate_up_bias);
    x_TE.reset();  // nobody else's in inference
    if (kept != nullptr) kept->push_back(gate_up);
    return linear(swiglu(gate_up), w.down, w.down_bias);
  }
  const at::Tensor out_TE = at::empty({num_rows, w.down.size(0)}, x_TE.options());
  for (int64_t i = 0; i < num_chunks; ++i) {
    const Chunk chunk(num_rows, i, num_chunks);
    const at::Tensor gate_up = linear(chunk.of(x_TE), w.gate_up, w.gate_up_bias);
    linear_out(chunk.of(out_TE), swiglu(gate_up), w.down, w.down_bias);
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
    const at::Tensor gate_up =
        kept.empty() ? linear(x, w.gate_up, w.gate_up_bias) : kept[static_cast<size_t>(i)];
    add_gradients(grad, swiglu_forward(gate_up), num_chunks == 1, sums.down,
                  if_wanted(w.down_bias, sums.down_bias));
    const at::Tensor grad_gate_up = swiglu_backward(at::mm(grad, w.down), gate_up);
    add_gradients(grad_gate_up, x, num_chunks == 1, sums.gate_up,
                  if_wanted(w.gate_up_bias, sums.gate_up_bias));
    at::Tensor grad_x = chunk.of(result.x_TE);
    at::mm_out(grad_x, grad_gate_up, w.gate_up);
  }
  return result;
}

}  // namespace longgen
