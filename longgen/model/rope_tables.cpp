#include "longgen/model/rope_tables.h"

#include "longgen/model/rope_frequencies.h"

namespace longgen {

RopeTables make_rope_tables(const at::Tensor& positions_T, const ModelConfig& config) {
  const auto make = [&](const RopeConfig& rope) {
    return make_rope_table(positions_T, rope_frequencies(rope, config.head_size),
                           rope.attention_factor);
  };
  const RopeTable table = make(config.rope);
  return {table, config.window_rope ? make(*config.window_rope) : table,
          config.sparse_rope ? make(*config.sparse_rope) : table};
}

}  // namespace longgen
