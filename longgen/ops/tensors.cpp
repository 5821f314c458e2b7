#include "longgen/ops/tensors.h"

#include <sstream>

namespace longgen {

std::string describe(const char* name, const at::Tensor& x) {
  std::ostringstream text;
  text << name << " " << x.sizes() << " " << x.scalar_type() << " " << x.device();
  return text.str();
}

namespace {

/// Leading axes of x, merged where their strides allow it, in at most two; false if that is not
/// enough.
bool merge_leading_axes(const at::Tensor& x, cpu::StridedRows& rows) {
  if (!last_axis_contiguous(x)) return false;
  struct Axis {
    int64_t size, stride;
  };
  Axis axes[2] = {{1, 0}, {1, 0}};  // inner, outer
  int used = 0;
  for (int64_t d = x.dim() - 2; d >= 0; --d) {
    const Axis axis = {x.size(d), x.stride(d)};
    if (axis.size == 1) continue;
    if (used > 0 && axis.stride == axes[used - 1].size * axes[used - 1].stride) {
      axes[used - 1].size *= axis.size;
    } else if (used < 2) {
      axes[used++] = axis;
    } else {
      return false;
    }
  }
  rows = {x.const_data_ptr(), axes[0].size, axes[1].stride, axes[0].stride};
  return true;
}

}  // namespace

RowsOf::RowsOf(const at::Tensor& x) : owner_(x) {
  if (x.numel() == 0) return;
  count_ = x.numel() / x.size(-1);
  if (merge_leading_axes(owner_, rows_)) return;
  owner_ = x.contiguous();
  merge_leading_axes(owner_, rows_);
}

}  // namespace longgen
