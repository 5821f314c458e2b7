// kv_cache/cache_pass.h: a forward pass of new tokens that sequences in the cache have reserved.
#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "longgen/attention/cpu/sequences.h"
#include "longgen/kv_cache/sequence_cache.h"

namespace longgen {

/// The next num_tokens tokens of a sequence; in a pass with several sequences their rows stand one
/// after the other.
struct PassPart {
  SequenceCache* cache;
  int64_t num_tokens;
};

/// All parts have one layout and one pool.
struct CachePass {
  std::vector<PassPart> parts;
  std::vector<cpu::Sequence> sequences;  ///< of each part
  at::Tensor positions_T;                ///< int64, on the CPU

  const KvLayout& layout() const { return parts.front().cache->layout(); }
  const PagePool& pool() const { return parts.front().cache->pool(); }
};

}  // namespace longgen
