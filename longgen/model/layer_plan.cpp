#include "longgen/model/layer_plan.h"

#include <algorithm>
#include <charconv>
#include <functional>
#include <numeric>
#include <optional>
#include <set>

#include "longgen/base/check.h"
#include "longgen/base/units.h"

namespace longgen {
namespace {

[[noreturn]] void bad_plan(std::string_view text, const std::string& found) {
  LG_FAIL("[layers] '", text, "': ", found,
          ". Expected middle:A/B, every:N, first:N, last:N, all, measured:FILE, or a list such as "
          "10-19,25.");
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

bool is_sparse_pattern(const Pattern& pattern) {
  return !pattern.is_full() && !pattern.is_window();
}

}  // namespace

LayerPlan LayerPlan::all_full(int64_t num_layers) {
  LayerPlan plan;
  plan.class_of_layer_.assign(num_layers, kFull);
  return plan;
}

LayerPlan LayerPlan::hybrid(int64_t num_layers, const std::vector<int64_t>& full_layers,
                            const Pattern& sparse) {
  const bool ascending = std::adjacent_find(full_layers.begin(), full_layers.end(),
                                            std::greater_equal<>()) == full_layers.end();
  LG_CHECK(ascending && (full_layers.empty() ||
                         (full_layers.front() >= 0 && full_layers.back() < num_layers)),
           "[layers] full layers: expected ascending numbers from 0 to ", num_layers - 1,
           ", each once, found ", format_layers(full_layers, num_layers), ".");
  LG_CHECK(is_sparse_pattern(sparse), "[layers] expected a sparse pattern, found ",
           sparse.to_string(), ".");
  LayerPlan plan;
  plan.classes_[kSparse] = sparse;
  plan.class_of_layer_.assign(num_layers, kSparse);
  for (const int64_t layer : full_layers) plan.class_of_layer_[layer] = kFull;
  return plan;
}

int64_t LayerPlan::count(int64_t index) const {
  return std::count(class_of_layer_.begin(), class_of_layer_.end(), index);
}

std::vector<int64_t> LayerPlan::layers_of_class(int64_t index) const {
  std::vector<int64_t> layers;
  for (int64_t layer = 0; layer < num_layers(); ++layer) {
    if (class_of(layer) == index) layers.push_back(layer);
  }
  return layers;
}

Pattern LayerPlan::pattern(int64_t layer, int64_t num_kv_heads) const {
  return classes_[class_of(layer)].for_heads(num_kv_heads);
}

bool LayerPlan::is_sparse(int64_t layer) const {
  return is_sparse_pattern(pattern_of_class(class_of(layer)));
}

int64_t LayerPlan::num_sparse() const {
  int64_t count = 0;
  for (int64_t layer = 0; layer < num_layers(); ++layer) count += is_sparse(layer) ? 1 : 0;
  return count;
}

std::vector<int64_t> LayerPlan::window_layers() const {
  std::vector<int64_t> layers;
  for (int64_t layer = 0; layer < num_layers(); ++layer) {
    if (pattern_of_class(class_of(layer)).is_window()) layers.push_back(layer);
  }
  return layers;
}

LayerPlan LayerPlan::with_pattern(const std::vector<int64_t>& layers,
                                  const Pattern& pattern) const {
  LayerPlan plan = *this;
  const auto found = std::find(classes_.begin(), classes_.end(), pattern);
  const int64_t index = found - classes_.begin();
  if (found == classes_.end()) plan.classes_.push_back(pattern);
  for (const int64_t layer : layers) plan.class_of_layer_.at(layer) = index;
  return plan;
}

LayerPlan LayerPlan::with_windows(const std::vector<int64_t>& layers, int64_t window_tokens) const {
  return layers.empty() ? *this : with_pattern(layers, Pattern::window(window_tokens));
}

LayerPlan LayerPlan::without_sparse() const {
  LayerPlan plan = *this;
  for (int64_t layer = 0; layer < num_layers(); ++layer) {
    if (is_sparse(layer)) plan.class_of_layer_[layer] = kFull;
  }
  return plan;
}

LayerPlan LayerPlan::for_context(int64_t context) const {
  LayerPlan plan = *this;
  for (int64_t index = 0; index < num_classes(); ++index) {
    const Pattern& pattern = pattern_of_class(index);
    if (!pattern.is_window() || pattern.window_tokens() < context) continue;
    plan = plan.with_pattern(layers_of_class(index), Pattern());
  }
  return plan;
}

bool LayerPlan::operator==(const LayerPlan& other) const {
  bool equal = num_layers() == other.num_layers() && sparse() == other.sparse();
  for (int64_t layer = 0; equal && layer < num_layers(); ++layer) {
    equal = pattern_of_class(class_of(layer)) == other.pattern_of_class(other.class_of(layer));
  }
  return equal;
}

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

namespace {

/// Reads which of the layers outside `windows` stay full.
std::vector<int64_t> choose_full_layers(std::string_view text, const LayerPlan& model,
                                        const std::vector<int64_t>& windows) {
  std::vector<int64_t> others;
  for (const int64_t layer : range(0, model.num_layers())) {
    if (!std::binary_search(windows.begin(), windows.end(), layer)) others.push_back(layer);
  }
  const bool is_list = text != "all" && text.find(':') == std::string_view::npos;
  if (!is_list) {
    std::vector<int64_t> chosen = parse_full_layers(text, static_cast<int64_t>(others.size()));
    for (int64_t& layer : chosen) layer = others[layer];
    return chosen;
  }
  const std::vector<int64_t> chosen = parse_full_layers(text, model.num_layers());
  for (const int64_t layer : chosen) {
    LG_CHECK(std::binary_search(others.begin(), others.end(), layer), "[layers] '", text,
             "': layer ", layer, " has a window of the model's own, ",
             model.pattern_of_class(model.class_of(layer)).window_tokens(),
             " tokens, and keeps it. Expected some of ", format_layers(others, model.num_layers()),
             ".");
  }
  return chosen;
}

}  // namespace

LayerPlan parse_layer_plan(std::string_view layers, std::string_view sparse,
                           const LayerPlan& model) {
  std::vector<int64_t> windows = model.window_layers();
  if (static_cast<int64_t>(windows.size()) == model.num_layers()) windows.clear();
  const std::vector<int64_t> full = choose_full_layers(layers, model, windows);
  const bool none_sparse = static_cast<int64_t>(full.size() + windows.size()) == model.num_layers();
  const Pattern pattern =
      none_sparse && sparse == "full" ? LayerPlan().sparse() : Pattern::parse_sparse(sparse);
  LayerPlan plan = LayerPlan::hybrid(model.num_layers(), full, pattern);
  for (const int64_t layer : windows) {
    plan = plan.with_pattern({layer}, model.pattern_of_class(model.class_of(layer)));
  }
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

std::string format_classes(const LayerPlan& plan) {
  std::string text;
  for (int64_t index = 0; index < plan.num_classes(); ++index) {
    if (plan.count(index) == 0) continue;
    const Pattern& pattern = plan.pattern_of_class(index);
    if (!text.empty()) text += ", ";
    if (pattern.is_full()) text += "full ";
    if (is_sparse_pattern(pattern)) text += "sparse ";
    if (pattern.is_window()) {
      text += "windows of " + format_count(pattern.window_tokens(), "token") + " ";
    }
    text += format_layers(plan.layers_of_class(index), plan.num_layers());
    if (is_sparse_pattern(pattern)) text += ": " + pattern.to_string();
  }
  return text;
}

}  // namespace longgen
