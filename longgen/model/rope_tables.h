// model/rope_tables.h: the cosines and sines of a pass.
#pragma once

#include <ATen/core/Tensor.h>

#include "longgen/attention/pattern.h"
#include "longgen/model/config.h"
#include "longgen/ops/rope.h"

namespace longgen {

/// In some families layers with a window of the family's own turn by other angles than all others,
/// and in some hybrids sparse layers do. Where they do not, the tables are one.
struct RopeTables {
  RopeTable table, of_windows, of_sparse;

  const RopeTable& of(const Pattern& pattern) const {
    if (pattern.is_window()) return of_windows;
    return pattern.is_full() ? table : of_sparse;
  }
};

/// Makes the tables of positions (T) int64, where those are.
RopeTables make_rope_tables(const at::Tensor& positions_T, const ModelConfig& config);

}  // namespace longgen
