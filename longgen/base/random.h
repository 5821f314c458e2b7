// base/random.h: random numbers that are the same on every platform and in every release; the
// standard library's distributions and shuffle are not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace longgen {

/// Maps 64-bit numbers one to one to numbers that look random (the finalizer of SplitMix64; Steele,
/// Lea and Flood, OOPSLA 2014).
constexpr uint64_t mix_bits(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
  return x ^ (x >> 31);
}

/// Makes one number of a pair; independent streams come from different second numbers.
constexpr uint64_t mix_pair(uint64_t a, uint64_t b) {
  constexpr uint64_t kGamma = 0x9E3779B97F4A7C15u;
  return mix_bits(mix_bits(a + kGamma) + (b + 1) * kGamma);
}

/// Draws from [0, bound), bound > 0, without bias: the high half of a product, drawn again in the
/// few cases where that would favour some numbers. `next` gives 64 uniform bits a call.
template <typename Next>
constexpr uint64_t uniform_below(uint64_t bound, Next&& next) {
  const uint64_t threshold = (0 - bound) % bound;
  for (;;) {
    const auto product = static_cast<unsigned __int128>(next()) * bound;
    if (static_cast<uint64_t>(product) >= threshold) return static_cast<uint64_t>(product >> 64);
  }
}

class RandomStream {
 public:
  explicit constexpr RandomStream(uint64_t key) : state_(key) {}

  constexpr uint64_t next() { return mix_bits(state_ += 0x9E3779B97F4A7C15u); }

  constexpr uint64_t below(uint64_t bound) {
    return uniform_below(bound, [this] { return next(); });
  }

 private:
  uint64_t state_;
};

/// Returns 0 ... count - 1 in an order that depends on the key alone.
inline std::vector<int64_t> shuffled(int64_t count, uint64_t key) {
  std::vector<int64_t> order(static_cast<size_t>(count));
  for (size_t i = 0; i < order.size(); ++i) order[i] = static_cast<int64_t>(i);
  RandomStream random(key);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  return order;
}

}  // namespace longgen
