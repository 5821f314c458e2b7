#include "longgen/kv_cache/page_writer.h"

#include <cstring>

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;

template <typename Value>
void write_as(const PageBlock& block, int64_t first_token, int64_t num_rows, cpu::RowsIn k,
              cpu::RowsIn v) {
  const int64_t head_size = block.head_size;
  auto* keys = reinterpret_cast<Value*>(block.memory) + first_token;
  auto* values = reinterpret_cast<Value*>(block.memory) + (kBlock + first_token) * head_size;
  const auto* from_k = static_cast<const Value*>(k.data);
  const auto* from_v = static_cast<const Value*>(v.data);
  for (int64_t d = 0; d < head_size; ++d) {
    for (int64_t r = 0; r < num_rows; ++r) keys[d * kBlock + r] = from_k[r * k.row + d];
  }
  for (int64_t r = 0; r < num_rows; ++r) {
    std::memcpy(values + r * head_size, from_v + r * v.row, head_size * sizeof(Value));
  }
}

}  // namespace

cpu::KeyBlock PageBlock::key_block() const {
  const int64_t value_bytes = page_format(type).value_bytes;
  const bool is_bf16 = type == PageType::kBfloat16;
  return {{memory, kBlock, is_bf16},
          {memory + kBlock * head_size * value_bytes, head_size, is_bf16}};
}

void PageBlock::write(int64_t first_token, int64_t num_rows, cpu::RowsIn k, cpu::RowsIn v) const {
  // Values are copied bit by bit: a bf16 is a 16-bit number here.
  if (type == PageType::kBfloat16) {
    write_as<uint16_t>(*this, first_token, num_rows, k, v);
  } else {
    write_as<uint32_t>(*this, first_token, num_rows, k, v);
  }
}

}  // namespace longgen
