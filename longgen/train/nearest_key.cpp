#include "longgen/train/nearest_key.h"

#include <algorithm>
#include <cstdint>

namespace longgen {
namespace {

std::string_view last_part(std::string_view key) {
  const size_t dot = key.rfind('.');
  return dot == std::string_view::npos ? key : key.substr(dot + 1);
}

}  // namespace

int64_t edit_distance(std::string_view a, std::string_view b) {
  // Three rows of the usual table: the row before last is for swaps.
  std::vector<int64_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int64_t>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, last);
    std::swap(last, row);
    row[0] = static_cast<int64_t>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] != b[j - 1])});
      const bool swap = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swap) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::string nearest_key(std::string_view unknown, const std::vector<std::string>& known) {
  constexpr size_t kLongest = 64;  // a longer key is no typing error, and its table would be large
  if (unknown.size() > kLongest) return "";
  const std::string_view name = last_part(unknown);
  int64_t best = std::max<int64_t>(2, static_cast<int64_t>(name.size()) / 3) + 1;
  std::string nearest;
  for (const std::string& key : known) {
    const int64_t distance =
        std::min(edit_distance(unknown, key), edit_distance(name, last_part(key)) + 1);
    if (distance >= best) continue;
    best = distance;
    nearest = key;
  }
  return nearest;
}

}  // namespace longgen
