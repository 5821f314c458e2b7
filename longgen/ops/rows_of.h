// ops/rows_of.h: the rows of a tensor. All of it is inline, because the GPU plug-in links no
// library of this folder.
#pragma once

#include <ATen/core/Tensor.h>

#include "longgen/ops/strided_rows.h"

namespace longgen {

inline bool last_axis_contiguous(const at::Tensor& x) {
  return x.size(-1) <= 1 || x.stride(-1) == 1;
}
inline at::Tensor with_contiguous_rows(const at::Tensor& x) {
  return last_axis_contiguous(x) ? x : x.contiguous();
}

/// The rows (rows, I) of x (..., I). Owns a copy where the strides of x are too wild for
/// the row kernels.
class RowsOf {
 public:
  explicit RowsOf(const at::Tensor& x) : owner_(x) {
    if (x.numel() == 0) return;
    count_ = x.numel() / x.size(-1);
    if (merge_leading_axes()) return;
    owner_ = x.contiguous();
    merge_leading_axes();
  }
  int64_t count() const { return count_; }
  const StridedRows& rows() const { return rows_; }

 private:
  /// Merges the leading axes where their strides allow it into at most two; false if that
  /// is not enough.
  bool merge_leading_axes() {
    if (!last_axis_contiguous(owner_)) return false;
    struct Axis {
      int64_t size, stride;
    };
    Axis axes[2] = {{1, 0}, {1, 0}};  // inner, outer
    int used = 0;
    for (int64_t d = owner_.dim() - 2; d >= 0; --d) {
      const Axis axis = {owner_.size(d), owner_.stride(d)};
      if (axis.size == 1) continue;
      if (used > 0 && axis.stride == axes[used - 1].size * axes[used - 1].stride) {
        axes[used - 1].size *= axis.size;
      } else if (used < 2) {
        axes[used++] = axis;
      } else {
        return false;
      }
    }
    rows_ = {owner_.const_data_ptr(), axes[0].size, axes[1].stride, axes[0].stride};
    return true;
  }

  at::Tensor owner_;
  int64_t count_ = 0;
  StridedRows rows_;
};

}  // namespace longgen
