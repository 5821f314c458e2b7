// kv_cache/cuda/share.cuh: how the keys of a decode launch divide among CTAs. The blocks of all
// pairs (sequence, KV head) stand one after the other; every CTA takes an equal share of them,
// which may begin and end within a pair. So long and short sequences together keep all CTAs busy,
// and the grid does not depend on the lengths, which a CUDA graph would not allow.
#pragma once

#include <cstdint>

namespace longgen::cuda {

/// Divides the blocks into shares. Where they do not divide evenly, the first shares are a block
/// longer than the others.
class Shares {
 public:
  __device__ Shares(const int32_t* starts, int num_pairs, int most) : first_(starts[0]) {
    const int total = starts[num_pairs] - first_;
    count_ = min(most, total);
    each_ = count_ > 0 ? total / count_ : 0;
    longer_ = total - each_ * count_;
  }
  __device__ int count() const { return count_; }
  /// The first block of a share; begin(count()) is the end of all.
  __device__ int begin(int share) const { return first_ + share * each_ + min(share, longer_); }
  /// The share that a block belongs to.
  __device__ int of(int block) const {
    const int index = block - first_, in_longer = longer_ * (each_ + 1);
    return index < in_longer ? index / (each_ + 1) : longer_ + (index - in_longer) / each_;
  }

 private:
  int first_, count_, each_, longer_;
};

/// The pair that a block belongs to. All lanes of a warp take part.
__device__ __forceinline__ int pair_of(const int32_t* starts, int num_pairs, int block) {
  int low = 0, high = num_pairs;  // starts[low] <= block < starts[high]
  while (high - low > 1) {
    const int step = (high - low + 31) / 32;
    const int probe = low + static_cast<int>(threadIdx.x % 32) * step;
    const bool reached = probe < high && starts[probe] <= block;
    const int count = __popc(__ballot_sync(0xffffffff, reached));
    low += (count - 1) * step;
    high = min(high, low + step);
  }
  return low;
}

}  // namespace longgen::cuda
