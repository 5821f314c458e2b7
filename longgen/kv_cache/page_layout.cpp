#include "longgen/kv_cache/page_layout.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "longgen/base/check.h"

namespace longgen {
namespace {

constexpr int64_t kBlock = Pattern::kBlock;
constexpr int64_t kMaxPaddingShare = 16;  // at most one part in 16: page_layout.h says of what
// 2^32 tokens of less than 2^30 bytes each, and 1/16 of padding, stay inside 63 bits.
constexpr int64_t kMaxTokenBytes = int64_t{1} << 30;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

void check_shape(const LayerPlan& plan, const KvShape& shape) {
  const auto check = [](const char* name, int64_t value, int64_t limit) {
    LG_CHECK(value >= 1 && value <= limit, "[kv cache] ", name, " must be between 1 and ", limit,
             ", found ", value, ". Check config.json.");
  };
  check("num_layers", shape.num_layers, 1 << 16);
  check("num_kv_heads", shape.num_kv_heads, 1 << 16);
  check("head_size", shape.head_size, 1 << 16);
  const int64_t layer_bytes =
      2 * shape.num_kv_heads * shape.head_size * page_format(shape.page_type).value_bytes;
  LG_CHECK(layer_bytes < kMaxTokenBytes / shape.num_layers, "[kv cache] ", shape.num_layers,
           " layers of ", shape.num_kv_heads, " KV heads of ", shape.head_size,
           " would take 1 GiB or more for each token. Check config.json.");
  LG_CHECK(plan.num_layers() == shape.num_layers, "[kv cache] the plan has ", plan.num_layers(),
           " layers, the model ", shape.num_layers, ".");
}

void check_tokens(int64_t num_tokens) {
  LG_CHECK(num_tokens >= 0 && num_tokens <= KvLayout::kMaxTokens,
           "[kv cache] a number of tokens must be between 0 and ", KvLayout::kMaxTokens, ", found ",
           num_tokens, ".");
}

/// The rule of page_layout.h, for the numbers of layers of the classes, the full one first. A size
/// that divides all of them wastes nothing, so 1 always passes.
int64_t choose_group_size(const std::vector<int64_t>& class_sizes) {
  // How much the padding of a class is above its sixteenth, in sixteenths of a slot.
  const auto excess = [](int64_t layers, int64_t size) {
    const int64_t padding = ceil_div(layers, size) * size - layers;
    return padding * kMaxPaddingShare - layers;
  };
  const auto fits = [&](int64_t size) {
    int64_t worst = excess(class_sizes[LayerPlan::kFull], size);
    for (size_t i = 1; i < class_sizes.size(); ++i) {
      worst += std::max<int64_t>(0, excess(class_sizes[i], size));
    }
    return worst <= 0;
  };
  int64_t size = *std::max_element(class_sizes.begin(), class_sizes.end());
  while (!fits(size)) --size;
  // The smallest size that makes as many groups of each class.
  int64_t needed = 1;
  for (const int64_t layers : class_sizes) {
    if (layers > 0) needed = std::max(needed, ceil_div(layers, ceil_div(layers, size)));
  }
  return needed;
}

}  // namespace

KvLayout::KvLayout(const LayerPlan& plan, const KvShape& shape) : shape_(shape) {
  check_shape(plan, shape);
  std::vector<int64_t> class_sizes;
  for (int64_t c = 0; c < plan.num_classes(); ++c) class_sizes.push_back(plan.count(c));
  layers_per_group_ = choose_group_size(class_sizes);
  std::vector<int64_t> next_slot;  // of each class
  for (int64_t c = 0; c < plan.num_classes(); ++c) {
    next_slot.push_back(num_groups() * layers_per_group_);
    classes_.push_back({plan.pattern_of_class(c).for_heads(shape.num_kv_heads),
                        ceil_div(class_sizes[c], layers_per_group_)});
    class_of_group_.insert(class_of_group_.end(), classes_.back().num_groups, c);
  }
  for (int64_t layer = 0; layer < shape.num_layers; ++layer) {
    const int64_t slot = next_slot[plan.class_of(layer)]++;
    slots_.push_back({slot / layers_per_group_, slot % layers_per_group_});
  }
}

KvLayout::KvLayout(const ModelConfig& config, PageType page_type)
    : KvLayout(config.layers,
               {config.num_layers, config.num_kv_heads, config.head_size, page_type}) {}

template <typename Count>
int64_t KvLayout::sum_pages(const Count& count) const {
  int64_t pages = 0;
  for (int64_t head = 0; head < shape_.num_kv_heads; ++head) {
    for (const LayerClass& one : classes_) {
      if (one.num_groups > 0) pages += one.num_groups * count(one.pattern, head);
    }
  }
  return pages;
}

int64_t KvLayout::pages_held(int64_t num_tokens) const {
  check_tokens(num_tokens);
  return sum_pages(
      [&](const Pattern& pattern, int64_t head) { return pattern.live_blocks(num_tokens, head); });
}

int64_t KvLayout::pages_in_pass(int64_t begin, int64_t end) const {
  check_tokens(begin);
  check_tokens(end);
  LG_CHECK(begin <= end, "[kv cache] tokens ", begin, " to ", end, " are not a range.");
  const int64_t new_blocks = num_blocks(end) - num_blocks(begin);
  return sum_pages([&](const Pattern& pattern, int64_t head) {
    // Without a window only sinks and stride blocks are stored, and these live for ever.
    if (pattern.window_blocks() == 0) return pattern.live_blocks(end, head);
    return pattern.live_blocks(begin, head) + new_blocks;
  });
}

int64_t KvLayout::pages_peak(int64_t begin, int64_t end, int64_t chunk) const {
  check_tokens(begin);
  check_tokens(end);
  LG_CHECK(begin <= end && chunk >= 1, "[kv cache] tokens ", begin, " to ", end, " in chunks of ",
           chunk, " are not a range.");
  // Pages in pass k, over tokens [a, b): the blocks before b without the dead ones before a. A pass
  // over as many tokens that begins some whole blocks later has as many blocks more before b, and
  // at most as many more dead ones. Passes begin at the same place in a block every 64 / gcd(chunk,
  // 64) chunks. So the peak is in the last such period, or in the shorter chunk after it.
  chunk = std::min(chunk, KvLayout::kMaxTokens);
  const int64_t num_chunks = ceil_div(end - begin, chunk);
  const int64_t first = std::max<int64_t>(0, num_chunks - 1 - kBlock / std::gcd(chunk, kBlock));
  int64_t peak = pages_held(begin);
  for (int64_t k = first; k < num_chunks; ++k) {
    const int64_t from = begin + k * chunk;
    peak = std::max(peak, pages_in_pass(from, std::min(from + chunk, end)));
  }
  return peak;
}

int64_t KvLayout::full_kv_bytes(int64_t num_tokens) const {
  check_tokens(num_tokens);
  return num_blocks(num_tokens) * shape_.num_kv_heads * shape_.num_layers * block_bytes();
}

}  // namespace longgen
