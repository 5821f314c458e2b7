// data/marks.h: which tokens of a document are to be learned, by the bytes they stand for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "longgen/data/dataset_format.h"
#include "longgen/tokenizer/byte_range.h"

namespace longgen {

/// Tokens of a document, one after the other.
struct MarkedTokens {
  std::vector<int32_t> ids;
  std::vector<uint8_t> marks;  ///< a Mark each; empty: all are ordinary
  int64_t text_bytes = 0;      ///< of the text they were made of
};

/// Marks as `inside` the tokens whose places share a byte with one of the ranges, others as
/// `outside`. Ranges and places ascend.
std::vector<uint8_t> mark_places(std::span<const ByteRange> places,
                                 std::span<const ByteRange> ranges, Mark inside, Mark outside);

}  // namespace longgen
