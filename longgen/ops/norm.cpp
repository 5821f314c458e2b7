#include "longgen/ops/norm.h"

#include <ATen/ops/add.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros.h>

#include "longgen/base/check.h"
#include "longgen/ops/gradients.h"
#include "longgen/ops/tensors.h"

namespace longgen {
namespace {

void check(const at::Tensor& x, const at::Tensor& weight_I) {
  const auto inputs = [&] {
    return "\n  " + describe("x", x) + " | " + describe("weight", weight_I);
  };
  LG_CHECK(is_supported_dtype(x), "[rms_norm] dtype must be float32, bfloat16 or float64.",
           inputs());
  LG_CHECK(weight_I.scalar_type() == x.scalar_type() && weight_I.device() == x.device(),
           "[rms_norm] x and weight must have one dtype and one device.", inputs());
  LG_CHECK(x.dim() >= 1 && weight_I.dim() == 1 && weight_I.size(0) == x.size(-1),
           "[rms_norm] the last axis of x must be as long as weight (I).", inputs());
}

at::Tensor rms_norm_plain(const at::Tensor& x, const at::Tensor& weight_I, double eps) {
  const at::Tensor wide = x.to(compute_type(x));
  const at::Tensor inverse = wide.square().mean(-1, /*keepdim=*/true).add(eps).rsqrt();
  return wide.mul(inverse).mul(weight_I).to(x.scalar_type());
}

/// Adds up the gradient of the weight. The rows are cut into pieces by their number alone, so that
/// the result does not depend on the threads: at most kMaxPieces, of blocks of kBlockRows rows. A
/// block is added in fp32, blocks and pieces in double: T rows are as exact as one.
class WeightGradient {
 public:
  WeightGradient(int64_t num_rows, int64_t width)
      : width_(width),
        piece_rows_(std::max(kBlockRows, (num_rows + kMaxPieces - 1) / kMaxPieces)),
        num_pieces_((num_rows + piece_rows_ - 1) / piece_rows_),
        blocks_(at::empty({num_pieces_, width}, at::kFloat)),
        sums_(at::zeros({num_pieces_, width}, at::kDouble)) {}

  int64_t num_pieces() const { return num_pieces_; }
  int64_t piece_rows() const { return piece_rows_; }

  void add_rows(int64_t piece, const cpu::RmsNormBackward& job, int64_t num_rows) const {
    cpu::RmsNormBackward with_sum = job;
    float* block = blocks_.data_ptr<float>() + piece * width_;
    double* sums = sums_.data_ptr<double>() + piece * width_;
    with_sum.grad_weight = block;
    const int64_t end = std::min(num_rows, (piece + 1) * piece_rows_);
    for (int64_t first = piece * piece_rows_; first < end; first += kBlockRows) {
      std::fill_n(block, width_, 0.0F);
      cpu::row_kernels().rms_norm_backward(with_sum, first, std::min(first + kBlockRows, end));
      for (int64_t i = 0; i < width_; ++i) sums[i] += static_cast<double>(block[i]);
    }
  }

  /// One piece after the other: ATen's own sum may group them by thread.
  at::Tensor total(at::ScalarType type) const {
    const at::Tensor result = at::zeros({width_}, at::kDouble);
    double* to = result.data_ptr<double>();
    const double* from = sums_.const_data_ptr<double>();
    for (int64_t piece = 0; piece < num_pieces_; ++piece, from += width_) {
      for (int64_t i = 0; i < width_; ++i) to[i] += from[i];
    }
    return result.to(type);
  }

 private:
  static constexpr int64_t kBlockRows = 32;
  static constexpr int64_t kMaxPieces = 128;

  int64_t width_, piece_rows_, num_pieces_;
  at::Tensor blocks_, sums_;
};

}  // namespace

at::Tensor rms_norm_forward(const at::Tensor& x, const at::Tensor& weight_in, double eps,
                            at::Tensor* inverse_rms) {
  if (x.is_cuda()) {
    const gpu::NormResult result =
        gpu::ops().rms_norm(x, {}, weight_in, eps, inverse_rms != nullptr);
    if (inverse_rms != nullptr) *inverse_rms = result.inverse_rms;
    return result.out;
  }
  const RowsOf rows(x);
  const at::Tensor weight_I = weight_in.contiguous();
  const at::Tensor out = at::empty(x.sizes(), x.options());
  float* inverse = nullptr;
  if (inverse_rms != nullptr) {
    *inverse_rms = at::empty({rows.count()}, x.options().dtype(at::kFloat));
    inverse = inverse_rms->data_ptr<float>();
  }
  const int64_t width = x.size(-1);
  const cpu::RmsNorm job = {is_bf16(x),     width,  eps, rows.rows(), weight_I.const_data_ptr(),
                            out.data_ptr(), inverse};
  parallel_rows(rows.count(), width, [&job](int64_t begin, int64_t end) {
    cpu::row_kernels().rms_norm(job, begin, end);
  });
  return out;
}

RmsNormGradients rms_norm_backward(const at::Tensor& grad, const at::Tensor& x,
                                   const at::Tensor& weight_in, const at::Tensor& inverse_rms,
                                   bool need_x, bool need_weight) {
  if (x.is_cuda()) {
    const auto [grad_x, grad_weight] =
        gpu::ops().rms_norm_backward(grad, {}, x, weight_in, inverse_rms, need_x, need_weight);
    return {grad_x, grad_weight};
  }
  const RowsOf rows(x), grad_rows(grad);
  const at::Tensor weight_I = weight_in.contiguous();
  const int64_t width = x.size(-1);
  RmsNormGradients result;
  if (need_x) result.x = at::empty(x.sizes(), x.options());
  const cpu::RmsNormBackward job = {is_bf16(x),
                                    width,
                                    rows.rows(),
                                    grad_rows.rows(),
                                    weight_I.const_data_ptr(),
                                    inverse_rms.const_data_ptr<float>(),
                                    need_x ? result.x.data_ptr() : nullptr,
                                    nullptr};
  if (!need_weight) {
    parallel_rows(rows.count(), width, [&job](int64_t begin, int64_t end) {
      cpu::row_kernels().rms_norm_backward(job, begin, end);
    });
    return result;
  }
  const WeightGradient sum(rows.count(), width);
  parallel_rows(sum.num_pieces(), sum.piece_rows() * width, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) sum.add_rows(piece, job, rows.count());
  });
  result.weight_I = sum.total(weight_I.scalar_type());
  return result;
}

AddedNorm add_rms_norm_forward(const at::Tensor& x, const at::Tensor& delta,
                               const at::Tensor& weight_I, double eps, at::Tensor* inverse_rms) {
  if (!x.is_cuda()) {
    const at::Tensor sum = at::add(x, delta);
    return {sum, rms_norm_forward(sum, weight_I, eps, inverse_rms)};
  }
  const gpu::NormResult result =
      gpu::ops().rms_norm(x, delta, weight_I, eps, inverse_rms != nullptr);
  if (inverse_rms != nullptr) *inverse_rms = result.inverse_rms;
  return {result.sum, result.out};
}

RmsNormGradients add_rms_norm_backward(const AddedNorm& grads, const at::Tensor& x,
                                       const at::Tensor& weight_I, const at::Tensor& inverse_rms,
                                       bool need_x, bool need_weight) {
  if (!x.is_cuda()) {
    RmsNormGradients result =
        rms_norm_backward(grads.normed, x, weight_I, inverse_rms, need_x, need_weight);
    if (need_x) result.x.add_(grads.sum);
    return result;
  }
  const auto [grad_x, grad_weight] = gpu::ops().rms_norm_backward(
      grads.normed, grads.sum, x, weight_I, inverse_rms, need_x, need_weight);
  return {grad_x, grad_weight};
}

at::Tensor rms_norm(const at::Tensor& x, const at::Tensor& weight_I, double eps) {
  check(x, weight_I);
  if (!has_row_kernels(x)) return rms_norm_plain(x, weight_I, eps);
  if (needs_gradient(x, weight_I)) return differentiable_rms_norm(x, weight_I, eps);
  return rms_norm_forward(x, weight_I, eps, nullptr);
}

AddedNorm add_rms_norm(const at::Tensor& x, const at::Tensor& delta, const at::Tensor& weight_I,
                       double eps) {
  check(x, weight_I);
  LG_CHECK(delta.sizes() == x.sizes() && delta.scalar_type() == x.scalar_type() &&
               delta.device() == x.device(),
           "[add_rms_norm] x and delta must have one shape, dtype and device.\n  ",
           describe("x", x), " | ", describe("delta", delta));
  if (!x.is_cuda() || !has_row_kernels(x)) {
    const at::Tensor sum = at::add(x, delta);
    return {sum, rms_norm(sum, weight_I, eps)};
  }
  if (needs_gradient(x, delta, weight_I)) {
    return differentiable_add_rms_norm(x, delta, weight_I, eps);
  }
  return add_rms_norm_forward(x, delta, weight_I, eps, nullptr);
}

}  // namespace longgen
