#include "longgen/eval/needle_text.h"

#include <vector>

#include "longgen/plan/table.h"

namespace longgen {

std::string points_text(const PairedDifference& difference) {
  return difference_text(difference, 1, "", 100);
}

std::string needle_difference_text(const NeedleGrid& first, const NeedleGrid& grid) {
  std::vector<std::vector<std::string>> rows = {{"length", "points"}};
  for (const NeedleShare& share : needle_shares(grid)) {
    rows.push_back({share.length_tokens == 0 ? "all" : token_label(share.length_tokens),
                    points_text(needle_difference(first, grid, share.length_tokens))});
  }
  return grid.model + ": difference to " + first.model +
         " in percentage points, with its 95% interval over samples\n" + format_table(rows);
}

}  // namespace longgen
