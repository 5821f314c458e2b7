// tests/unit/kv_cache/sequence_support.h: what tests of sequences do again and again.
#pragma once

#include <gtest/gtest.h>

#include "longgen/base/check.h"
#include "longgen/kv_cache/sequence_cache.h"

namespace longgen {

inline void append(SequenceCache& cache, int64_t num_tokens) {
  ASSERT_TRUE(cache.reserve(num_tokens));
  cache.commit();
}

/// Is there a page? block() refuses otherwise.
inline bool has_page(const SequenceCache& cache, int64_t layer, int64_t kv_head,
                     int64_t key_block) {
  try {
    return cache.block(layer, kv_head, key_block) != nullptr;
  } catch (const Error&) {
    return false;
  }
}

}  // namespace longgen
