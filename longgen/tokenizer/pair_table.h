// tokenizer/pair_table.h: which merge two neighbouring tokens have, in one cache miss.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace longgen {

/// A flat hash table from a pair of ids to (rank, id of the result). Filled once, then only read.
class PairTable {
 public:
  struct Merge {
    uint32_t rank;  ///< kNone when there is none; lower merges first
    int32_t id;
  };
  static constexpr uint32_t kNone = UINT32_MAX;

  /// Makes room for this many pairs; call before the first insert.
  void reserve(size_t num_pairs) {
    const size_t size = std::bit_ceil(num_pairs * 2 + 2);
    slots_.assign(size, {kEmpty, {kNone, 0}});
    shift_ = 64 - std::countr_zero(size);
  }

  /// Inserts a merge; a pair given twice keeps the last one.
  void insert(int32_t left, int32_t right, Merge merge) {
    const uint64_t key = key_of(left, right);
    size_t i = home(key);
    while (slots_[i].key != kEmpty && slots_[i].key != key) i = (i + 1) & (slots_.size() - 1);
    slots_[i] = {key, merge};
  }

  Merge find(int32_t left, int32_t right) const {
    const uint64_t key = key_of(left, right);
    size_t i = home(key);
    while (slots_[i].key != key) {
      if (slots_[i].key == kEmpty) return {kNone, 0};
      i = (i + 1) & (slots_.size() - 1);
    }
    return slots_[i].merge;
  }

 private:
  struct Slot {
    uint64_t key;
    Merge merge;
  };
  static constexpr uint64_t kEmpty = UINT64_MAX;  // ids are not negative, so no pair has this key
  static uint64_t key_of(int32_t left, int32_t right) {
    return uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  }
  /// Hashes both halves (Fibonacci): the low half alone would collide for common right tokens.
  size_t home(uint64_t key) const {
    return static_cast<size_t>(((key ^ key >> 29) * 0x9E3779B97F4A7C15u) >> shift_);
  }

  std::vector<Slot> slots_{2, {kEmpty, {kNone, 0}}};
  int shift_ = 63;
};

}  // namespace longgen
