// attention/cuda/work_lists.h: how a call is divided among the multiprocessors. Made on the CPU; no
// torch, no CUDA.
#pragma once

#include <span>
#include <vector>

#include "longgen/attention/cuda/problem.h"
#include "longgen/attention/pattern.h"

namespace longgen::cuda {

/// Throws Error where the kernels' numbers are too small for the pattern's.
BlockPattern block_pattern(const Pattern& pattern);

/// The sequences of a call and their tiles of query rows.
struct QueryWork {
  std::vector<SequenceRows> sequences;
  std::vector<TileOfRows> tiles;
};
/// Makes the sequences of a call of attend(): one whose queries are the last of its keys, or, with
/// starts of documents, each document.
QueryWork make_query_work(int64_t num_queries, int64_t num_keys,
                          std::span<const int64_t> doc_starts);

struct KeyWork {
  std::vector<KeyItem> items;  // the longest first
  std::vector<KeySum> sums;
  int num_slots = 0;  // of partial sums
};

/// Every key block of every sequence and KV head stands in one pair. Blocks that live for ever
/// (sinks, strided ones) are paired among themselves, because their columns are long; columns far
/// longer than a multiprocessor's share of all work are cut into pieces of equal length. A function
/// of its arguments alone: the same on every GPU.
KeyWork make_key_work(const std::vector<SequenceRows>& sequences, const Pattern& pattern,
                      int num_kv_heads);

}  // namespace longgen::cuda
