#include "longgen/train/recipe/nearest_key.h"

#include <algorithm>
#include <cstdint>

#include "longgen/base/nearest_name.h"

namespace longgen {
namespace {

std::string_view last_part(std::string_view key) {
  const size_t dot = key.rfind('.');
  return dot == std::string_view::npos ? key : key.substr(dot + 1);
}

}  // namespace

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
