// engine/cuda/block_select.h: sums over a block of threads, and the selection of the first elements
// of an order that have a sum together. A block is any class with
//   rank(), size()   of the calling thread in the block, and of the block, at most kMostThreads
//   sync()           waits for all threads, and orders their reads and writes of memory
//   add(to, value)   adds for all threads, returns what was there
// so that tests run the same code on the CPU. All threads call each function, with equal arguments
// but for what a thread brings of its own, and get equal results, which depend on no order.
#pragma once

#include <cstdint>

#include "longgen/base/device_function.h"

namespace longgen::cuda {

constexpr int kMostThreads = 1024;
constexpr int kLanes = 32;
// Elements are counted by 8 bits of their keys at a time.
constexpr int kDigitBits = 8, kBins = 1 << kDigitBits, kGroups = 16, kGroupBins = kBins / kGroups;

struct BlockMemory {
  /// Sums of 64 bits in two halves, because a GPU adds 32 bits in one instruction. Each lane of a
  /// warp has copies of its own, in a bank of its own: most logits share their upper bits, and
  /// lanes that add to one address would wait for each other. Zero between calls.
  uint32_t low[kBins][kLanes], high[kBins][kLanes];
  uint64_t bins[kBins];
  uint64_t groups[kGroups];
  uint64_t of_thread[kMostThreads];
  uint64_t of_lane[kLanes];
  struct {
    bool is_found;
    int bin;
    uint64_t wanted, sum;
  } choice;
};

/// To be called once, before all else.
template <typename Block>
LG_DEVICE void clear_memory(Block& block, BlockMemory& memory) {
  for (int i = block.rank(); i < kBins * kLanes; i += block.size()) {
    memory.low[i / kLanes][i % kLanes] = memory.high[i / kLanes][i % kLanes] = 0;
  }
  block.sync();
}

/// What `merge` makes of all threads' numbers.
template <typename Block, typename Merge>
LG_DEVICE uint64_t over_block(Block& block, BlockMemory& memory, uint64_t mine,
                              const Merge& merge) {
  memory.of_thread[block.rank()] = mine;
  block.sync();
  const int num_lanes = block.size() < kLanes ? block.size() : kLanes;
  if (block.rank() < num_lanes) {
    uint64_t all = mine;
    for (int t = block.rank() + kLanes; t < block.size(); t += kLanes) {
      all = merge(all, memory.of_thread[t]);
    }
    memory.of_lane[block.rank()] = all;
  }
  block.sync();
  uint64_t all = memory.of_lane[0];
  for (int lane = 1; lane < num_lanes; ++lane) all = merge(all, memory.of_lane[lane]);
  block.sync();  // the memory is used again
  return all;
}

template <typename Block>
LG_DEVICE uint64_t sum_over_block(Block& block, BlockMemory& memory, uint64_t mine) {
  return over_block(block, memory, mine, [](uint64_t a, uint64_t b) { return a + b; });
}

template <typename Block>
LG_DEVICE uint64_t largest_over_block(Block& block, BlockMemory& memory, uint64_t mine) {
  return over_block(block, memory, mine, [](uint64_t a, uint64_t b) { return a > b ? a : b; });
}

template <typename Block>
LG_DEVICE void add_to_bin(Block& block, BlockMemory& memory, int bin, uint64_t value) {
  const int lane = block.rank() % kLanes;
  const auto low = static_cast<uint32_t>(value);
  const bool carries = block.add(&memory.low[bin][lane], low) + low < low;
  const uint32_t high = static_cast<uint32_t>(value >> 32) + (carries ? 1 : 0);
  if (high > 0) block.add(&memory.high[bin][lane], high);
}

/// Sums of bins and of groups of them; the lanes' sums are zero again.
template <typename Block>
LG_DEVICE void sum_bins(Block& block, BlockMemory& memory) {
  for (int bin = block.rank(); bin < kBins; bin += block.size()) {
    uint64_t low = 0, high = 0;
    for (int i = 0; i < kLanes; ++i) {
      const int lane = (bin + i) % kLanes;  // of neighbours, different banks
      low += memory.low[bin][lane];
      high += memory.high[bin][lane];
      memory.low[bin][lane] = memory.high[bin][lane] = 0;
    }
    memory.bins[bin] = low + (high << 32);
  }
  if (block.rank() == 0) memory.choice.is_found = false;
  block.sync();
  for (int group = block.rank(); group < kGroups; group += block.size()) {
    uint64_t sum = 0;
    for (int i = 0; i < kGroupBins; ++i) sum += memory.bins[group * kGroupBins + i];
    memory.groups[group] = sum;
  }
  block.sync();
}

/// Leaves in memory.choice the bin in which the sum from the highest bin down reaches `wanted`.
template <typename Block>
LG_DEVICE void choose_bin(Block& block, BlockMemory& memory, uint64_t wanted) {
  for (int bin = block.rank(); bin < kBins; bin += block.size()) {
    uint64_t above = 0;
    for (int group = kGroups - 1; group > bin / kGroupBins; --group) above += memory.groups[group];
    for (int i = bin / kGroupBins * kGroupBins + kGroupBins - 1; i > bin; --i) {
      above += memory.bins[i];
    }
    const uint64_t sum = memory.bins[bin];
    if (above < wanted && wanted <= above + sum) memory.choice = {true, bin, wanted - above, sum};
  }
  block.sync();
}

/// Adds the values of the elements whose keys have the prefix above the digit at `shift`.
template <typename Block, typename Entries>
LG_DEVICE void add_with_prefix(Block& block, BlockMemory& memory, int count, int shift,
                               uint64_t prefix, const Entries& entries) {
  // Several reads are under way at a time: one after the other each would wait for L2.
  constexpr int kAtOnce = 4;
  for (int first = block.rank(); first < count; first += kAtOnce * block.size()) {
    uint64_t keys[kAtOnce];
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      const int i = first + j * block.size();
      keys[j] = i < count ? entries.key(i) >> shift : UINT64_MAX;  // which has no such prefix
    }
#pragma unroll
    for (int j = 0; j < kAtOnce; ++j) {
      if (keys[j] >> kDigitBits != prefix) continue;
      const uint64_t value = entries.value(first + j * block.size());
      if (value > 0) add_to_bin(block, memory, static_cast<int>(keys[j] % kBins), value);
    }
  }
}

/// Elements 0 ... count - 1 have different keys, entries.key(i), of num_digits digits, and values,
/// entries.value(i), of 0 or more. Of the fewest elements with the highest keys whose values have a
/// sum of wanted_of(the sum of all), which is above 0, finds the last one and returns its key;
/// unless kExact, perhaps a lower number, which no other element with a value reaches. 0 where all
/// have less than is wanted. Values are asked for once, but for elements that share the upper
/// digits of the last one.
template <bool kExact, typename Block, typename Entries, typename Wanted>
LG_DEVICE uint64_t select(Block& block, BlockMemory& memory, int count, int num_digits,
                          const Entries& entries, const Wanted& wanted_of) {
  uint64_t prefix = 0, wanted = 0;
  for (int digit = num_digits - 1; digit >= 0; --digit) {
    const int shift = kDigitBits * digit;
    add_with_prefix(block, memory, count, shift, prefix, entries);
    block.sync();
    sum_bins(block, memory);
    if (digit == num_digits - 1) {
      uint64_t total = 0;
      for (int group = 0; group < kGroups; ++group) total += memory.groups[group];
      wanted = wanted_of(total);
    }
    choose_bin(block, memory, wanted);
    if (!memory.choice.is_found) return 0;
    prefix = prefix << kDigitBits | static_cast<uint64_t>(memory.choice.bin);
    wanted = memory.choice.wanted;
    if (!kExact && memory.choice.sum == wanted) return prefix << shift;  // all of the bin
  }
  return prefix;
}

}  // namespace longgen::cuda
