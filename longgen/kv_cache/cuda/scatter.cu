// Brings what has changed in page tables to where they are. The GPU reads memory of the host
// itself: one launch, with nothing to wait for on either side.
#include "longgen/kv_cache/cuda/kernels.h"

namespace longgen::cuda {
namespace {

static_assert(sizeof(TablePiece) == 2 * sizeof(uint2) && sizeof(PassBlock) == sizeof(uint2));

/// A CTA has a piece, a thread one of its units: all loads are on their way at the same time.
__global__ void __launch_bounds__(TablePiece::kMostUnits)
    scatter_kernel(uint2* to, const uint2* upload, int num_pieces) {
  const TablePiece piece = reinterpret_cast<const TablePiece*>(upload)[blockIdx.x];
  const int unit = static_cast<int>(threadIdx.x);
  if (unit < piece.count) to[piece.to + unit] = upload[2 * num_pieces + piece.from + unit];
}

}  // namespace

cudaError_t scatter(void* to, const void* upload, int num_pieces, cudaStream_t stream) {
  if (num_pieces == 0) return cudaSuccess;
  scatter_kernel<<<num_pieces, TablePiece::kMostUnits, 0, stream>>>(
      static_cast<uint2*>(to), static_cast<const uint2*>(upload), num_pieces);
  return cudaGetLastError();
}

}  // namespace longgen::cuda
