#include "longgen/ops/few_rows.h"

namespace longgen::gpu {
namespace {

// Numbers of x (and for the norm of delta and the norm's weight) that a multiprocessor keeps beside
// its stages of the weight.
constexpr int64_t kMostStaged = 81'000;

/// What the copy engine can bring: rows of bfloat16 that begin at multiples of 16 bytes.
bool is_copyable(const at::Tensor& x) {
  constexpr int64_t kNumbers = 8;  // of 16 bytes
  const bool has_rows = x.dim() < 2 || x.stride(0) % kNumbers == 0;
  return x.is_cuda() && x.scalar_type() == at::kBFloat16 && x.dim() > 0 && x.stride(-1) == 1 &&
         x.size(-1) % kNumbers == 0 && has_rows &&
         reinterpret_cast<uintptr_t>(x.const_data_ptr()) % 16 == 0;
}

}  // namespace

bool are_few_rows(const at::Tensor& x_TI, const at::Tensor& weight_OI, const at::Tensor& bias_O) {
  constexpr int64_t kMostRows = 4;
  return x_TI.dim() == 2 && x_TI.size(0) > 0 && x_TI.size(0) <= kMostRows && x_TI.size(1) > 0 &&
         x_TI.numel() <= kMostStaged && x_TI.size(1) == weight_OI.size(1) &&
         weight_OI.is_contiguous() && is_copyable(x_TI) && is_copyable(weight_OI) &&
         (!bias_O.defined() || bias_O.scalar_type() == at::kBFloat16) && has_kernels();
}

bool fits_norm(const at::Tensor& x_TI, const NormBefore& norm) {
  return (2 * x_TI.size(0) + 1) * x_TI.size(1) <= kMostStaged && is_copyable(norm.weight_I) &&
         (!norm.delta_TI.defined() ||
          (norm.delta_TI.is_contiguous() && is_copyable(norm.delta_TI)));
}

}  // namespace longgen::gpu
