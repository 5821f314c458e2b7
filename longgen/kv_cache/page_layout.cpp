#include "longgen/kv_cache/page_layout.h"

#include <algorithm>
#include <numeric>

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
  LG_CHECK(shape.bytes_per_value == 2 || shape.bytes_per_value == 4,
           "[kv cache] keys and values are kept in 2 or 4 bytes, found ", shape.bytes_per_value,
           ". Use bfloat16 or float32.");
  const int64_t layer_bytes = 2 * shape.num_kv_heads * shape.head_size * shape.bytes_per_value;
  LG_CHECK(layer_bytes < kMaxTokenBytes / shape.num_layers, "[kv cache] ", shape.num_layers,
           " layers of ", shape.num_kv_heads, " KV heads of ", shape.head_size,
           " would take 1 GiB or more for each token. Check config.json.");
  for (int64_t layer : plan.full_layers) {
    LG_CHECK(layer >= 0 && layer < shape.num_layers, "[kv cache] full layer ", layer,
             " is not a layer of a model with layers 0 to ", shape.num_layers - 1,
             ". Check longgen.full_layers in config.json.");
  }
}

void check_tokens(int64_t num_tokens) {
  LG_CHECK(num_tokens >= 0 && num_tokens <= KvLayout::kMaxTokens,
           "[kv cache] a number of tokens must be between 0 and ", KvLayout::kMaxTokens, ", found ",
           num_tokens, ".");
}

/// The rule of page_layout.h. Sizes that divide both classes waste nothing, so 1 always passes.
int64_t choose_group_size(int64_t num_full, int64_t num_sparse) {
  const auto slots = [](int64_t layers, int64_t size) { return ceil_div(layers, size) * size; };
  const auto fits = [](int64_t slots_taken, int64_t layers) {
    return (slots_taken - layers) * kMaxPaddingShare <= layers;
  };
  int64_t size = std::max(num_full, num_sparse);
  while (!fits(slots(num_full, size), num_full) ||
         !fits(slots(num_full, size) + slots(num_sparse, size), num_full + num_sparse)) {
    --size;
  }
  // The smallest size that makes as many groups of each class.
  const auto needed = [&](int64_t layers) {
    return layers == 0 ? 0 : ceil_div(layers, ceil_div(layers, size));
  };
  return std::max(needed(num_full), needed(num_sparse));
}

}  // namespace

KvLayout::KvLayout(const LayerPlan& plan, const KvShape& shape) : shape_(shape) {
  check_shape(plan, shape);
  const auto is_full = [&](int64_t layer) { return plan.is_full(layer); };
  std::vector<int64_t> layers(shape.num_layers);
  std::iota(layers.begin(), layers.end(), 0);
  const auto num_full = std::count_if(layers.begin(), layers.end(), is_full);
  const int64_t num_sparse = shape.num_layers - num_full;
  if (num_sparse > 0) sparse_ = plan.sparse.for_heads(shape.num_kv_heads);
  layers_per_group_ = choose_group_size(num_full, num_sparse);
  num_full_groups_ = ceil_div(num_full, layers_per_group_);
  num_sparse_groups_ = ceil_div(num_sparse, layers_per_group_);
  int64_t next_full = 0, next_sparse = num_full_groups_ * layers_per_group_;
  for (int64_t layer : layers) {
    const int64_t slot = is_full(layer) ? next_full++ : next_sparse++;
    slots_.push_back({slot / layers_per_group_, slot % layers_per_group_});
  }
}

KvLayout::KvLayout(const ModelConfig& config, int64_t bytes_per_value)
    : KvLayout(config.layers,
               {config.num_layers, config.num_kv_heads, config.head_size, bytes_per_value}) {}

template <typename Count>
int64_t KvLayout::sum_pages(const Count& count) const {
  int64_t pages = 0;
  for (int64_t head = 0; head < shape_.num_kv_heads; ++head) {
    if (num_full_groups_ > 0) pages += num_full_groups_ * count(full_, head);
    if (num_sparse_groups_ > 0) pages += num_sparse_groups_ * count(sparse_, head);
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
  const int64_t new_blocks = ceil_div(end, kBlock) - ceil_div(begin, kBlock);
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
  // Pages in pass k, over tokens [a, b): the blocks before b without the dead ones before a. As k
  // grows, (kept blocks before block a / 64) never shrinks, and (blocks from a / 64 to b) repeats
  // with a period of 64 / gcd(chunk, 64) whole chunks. So the peak is in the last period, or in the
  // shorter chunk after it.
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
  return ceil_div(num_tokens, kBlock) * shape_.num_kv_heads * shape_.num_layers * block_bytes();
}

}  // namespace longgen
