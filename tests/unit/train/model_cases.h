// What the tests of gradients share, on the CPU and on a GPU: a packed batch of tokens, beside the
// kinds of tiny models.
#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "longgen/ops/linear_cross_entropy.h"
#include "longgen/train/backward_pass.h"
#include "tests/unit/model/model_kinds.h"
#include "tiny_run.h"

namespace longgen {

/// Makes documents that begin at doc_starts; every ninth row has no target.
inline MicroBatch packed_batch(int64_t num_tokens, const std::vector<int64_t>& doc_starts) {
  const at::Tensor tokens = (at::arange(num_tokens, at::kLong) * 37 + 11) % kTinyVocab;
  at::Tensor targets = (at::arange(num_tokens, at::kLong) * 53 + 2) % kTinyVocab;
  targets.slice(0, 0, num_tokens, 9).fill_(kNoTarget);
  return {tokens, targets, at::tensor(doc_starts, at::kLong)};
}

}  // namespace longgen
