// dist/volumes/gradients.h: bytes of a step of data parallel training, in closed form.
#pragma once

#include <algorithm>
#include <cstdint>

namespace longgen {

/// The elements [begin, end) of `count` whose sums are made by rank `rank`: shares differ by one
/// element at most, the first ones being larger.
struct ElementRange {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};
constexpr ElementRange share_of(int64_t count, int rank, int num_ranks) {
  const int64_t whole = count / num_ranks, rest = count % num_ranks;
  const int64_t begin = rank * whole + std::min<int64_t>(rank, rest);
  return {begin, begin + whole + (rank < rest ? 1 : 0)};
}

/// Bytes that a rank sends in a step: the gradients of each of its micro-batches but its own share
/// to those who add them, and the sums of its share to all. `chunk` elements are sent at a time.
int64_t gradient_bytes_sent(int64_t num_elements, int64_t bytes_each, int64_t num_batches,
                            int64_t chunk, int rank, int num_ranks);

}  // namespace longgen
