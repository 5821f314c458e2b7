#include "longgen/model/layer_plan.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>
#include <set>

#include "longgen/base/check.h"

namespace longgen {
namespace {

[[noreturn]] void bad_plan(std::string_view text, const std::string& found) {
  LG_FAIL("[layers] '", text, "': ", found,
          ". Expected middle:A/B, every:N, first:N, last:N, all, or a list such as 10-19,25.");
}

std::optional<int64_t> whole_number(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || value < 0) return std::nullopt;
  return value;
}

std::vector<int64_t> range(int64_t begin, int64_t count) {
  std::vector<int64_t> layers(count);
  std::iota(layers.begin(), layers.end(), begin);
  return layers;
}

std::vector<int64_t> middle(std::string_view text, std::string_view share, int64_t num_layers) {
  const size_t slash = share.find('/');
  if (slash == std::string_view::npos) bad_plan(text, "no share such as 1/3 after 'middle:'");
  const auto part = whole_number(share.substr(0, slash)),
             whole = whole_number(share.substr(slash + 1));
  if (!part || !whole || *part < 1 || *part > *whole || *whole > 1000) {
    bad_plan(text, "the share is not a fraction between 0 and 1");
  }
  const int64_t count = std::max<int64_t>(1, (2 * num_layers * *part + *whole) / (2 * *whole));
  return range((num_layers - count) / 2, count);
}

std::vector<int64_t> listed(std::string_view text, int64_t num_layers) {
  std::set<int64_t> layers;
  std::string_view rest = text;
  while (true) {
    const size_t comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    const size_t dash = item.find('-');
    const auto first = whole_number(item.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : whole_number(item.substr(dash + 1));
    if (!first || !last || *first > *last)
      bad_plan(text, "'" + std::string(item) + "' is no layer");
    if (*last >= num_layers) {
      bad_plan(text, "layer " + std::to_string(*last) + " of a model with layers 0 to " +
                         std::to_string(num_layers - 1));
    }
    for (int64_t layer = *first; layer <= *last; ++layer) layers.insert(layer);
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return {layers.begin(), layers.end()};
}

}  // namespace

bool LayerPlan::is_full(int64_t layer) const {
  return std::binary_search(full_layers.begin(), full_layers.end(), layer);
}

Pattern LayerPlan::pattern(int64_t layer, int64_t num_kv_heads) const {
  return is_full(layer) ? Pattern() : sparse.for_heads(num_kv_heads);
}

LayerPlan LayerPlan::all_full(int64_t num_layers) { return {.full_layers = range(0, num_layers)}; }

std::vector<int64_t> parse_full_layers(std::string_view text, int64_t num_layers) {
  if (text == "all") return range(0, num_layers);
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos) return listed(text, num_layers);
  const std::string_view kind = text.substr(0, colon), value = text.substr(colon + 1);
  if (kind == "middle") return middle(text, value, num_layers);
  const auto count = whole_number(value);
  if (!count || *count < 1 || *count > num_layers) {
    bad_plan(text, "the number after the colon is not between 1 and the number of layers, " +
                       std::to_string(num_layers));
  }
  if (kind == "first") return range(0, *count);
  if (kind == "last") return range(num_layers - *count, *count);
  if (kind != "every") bad_plan(text, "unknown name '" + std::string(kind) + "'");
  std::vector<int64_t> layers;
  for (int64_t layer = *count - 1; layer < num_layers; layer += *count) layers.push_back(layer);
  return layers;
}

LayerPlan parse_layer_plan(std::string_view layers, std::string_view sparse, int64_t num_layers) {
  LayerPlan plan = {.full_layers = parse_full_layers(layers, num_layers)};
  const bool all_full = static_cast<int64_t>(plan.full_layers.size()) == num_layers;
  if (!all_full || sparse != "full") plan.sparse = Pattern::parse_sparse(sparse);
  return plan;
}

std::string format_layers(const std::vector<int64_t>& layers, int64_t num_layers) {
  const std::string count = std::to_string(layers.size()) + " of " + std::to_string(num_layers);
  if (layers.empty()) return "none (" + count + ")";
  std::string text;
  for (size_t i = 0; i < layers.size();) {
    size_t last = i;
    while (last + 1 < layers.size() && layers[last + 1] == layers[last] + 1) ++last;
    if (!text.empty()) text += ",";
    text += std::to_string(layers[i]);
    if (last > i) text += "-" + std::to_string(layers[last]);
    i = last + 1;
  }
  return text + " (" + count + ")";
}

}  // namespace longgen
