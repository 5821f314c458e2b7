#include "longgen/attention/pattern.h"

#include <algorithm>
#include <charconv>
#include <map>

#include "longgen/base/check.h"

namespace longgen {
namespace {

// 2^46 tokens: every product below stays inside 64 bits.
constexpr int64_t kMaxBlocks = int64_t{1} << 40;

int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Sum of max(0, min(i - shift, limit)) over i in [0, n), for shift, limit >= 0.
int64_t ramp_sum(int64_t n, int64_t shift, int64_t limit) {
  const int64_t rising = std::clamp<int64_t>(n - shift, 0, limit + 1);  // terms 0, 1, ..., limit
  const int64_t flat = std::max<int64_t>(0, n - shift - rising);
  return rising * (rising - 1) / 2 + flat * limit;
}

int64_t parse_number(std::string_view key, std::string_view unit, std::string_view text,
                     std::string_view whole) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  LG_CHECK(error == std::errc() && end == text.data() + text.size() && value >= 0, "[pattern] '",
           whole, "': ", key, " must be a number of ", unit, " >= 0, found '", text, "'.");
  return value;
}

/// `also`: what the message names before the sparse forms.
Pattern parse_blocks(std::string_view text, std::string_view also) {
  if (text == "sink") return Pattern::sparse(1, 16);
  if (text == "blocksparse") return Pattern::sparse(1, 16, 16);
  if (text == "wide") return Pattern::sparse(1, 32, 16);
  std::map<std::string, int64_t, std::less<>> numbers = {
      {"sink", -1}, {"window", -1}, {"stride", -1}};
  for (std::string_view rest = text;;) {
    const size_t comma = rest.find(',');
    const std::string_view item = rest.substr(0, comma);
    const size_t equals = item.find('=');
    const auto entry = numbers.find(item.substr(0, equals));
    LG_CHECK(
        equals != item.npos && entry != numbers.end() && entry->second < 0, "[pattern] '", text,
        "' is not a pattern: expected ", also,
        "sink, blocksparse, wide, or sink=S,window=W,stride=N (each once, in blocks of 64 tokens).");
    entry->second = parse_number(entry->first, "blocks", item.substr(equals + 1), text);
    if (comma == rest.npos) break;
    rest.remove_prefix(comma + 1);
  }
  LG_CHECK(
      numbers["window"] >= 1, "[pattern] '", text, "' is not a pattern: expected ", also,
      "sink, blocksparse, wide, or sink=S,window=W,stride=N with a window of at least 1 block.");
  return Pattern::sparse(std::max<int64_t>(0, numbers["sink"]), numbers["window"],
                         std::max<int64_t>(0, numbers["stride"]));
}

}  // namespace

Pattern Pattern::sparse(int64_t sink_blocks, int64_t window_blocks, int64_t stride_blocks,
                        std::vector<int64_t> stride_offsets) {
  for (const auto& [name, value] :
       std::map<const char*, int64_t>{{"sink_blocks", sink_blocks},
                                      {"window_blocks", window_blocks},
                                      {"stride_blocks", stride_blocks}}) {
    LG_CHECK(value >= 0 && value < kMaxBlocks, "[pattern] ", name, " must be between 0 and ",
             kMaxBlocks - 1, ", found ", value, ".");
  }
  LG_CHECK(stride_blocks > 0 || stride_offsets.empty(),
           "[pattern] stride_offsets are given, but stride_blocks is 0. "
           "Give a stride or leave them out.");
  for (int64_t offset : stride_offsets) {
    LG_CHECK(offset >= 0 && offset < stride_blocks, "[pattern] stride offset ", offset,
             " must be at least 0 and less than ", "stride_blocks ", stride_blocks, ".");
  }
  Pattern pattern;
  pattern.sink_blocks_ = sink_blocks;
  pattern.window_blocks_ = window_blocks;
  pattern.stride_blocks_ = stride_blocks;
  pattern.stride_offsets_ = std::move(stride_offsets);
  return pattern;
}

Pattern Pattern::window(int64_t window_tokens) {
  LG_CHECK(window_tokens >= 1 && window_tokens < kMaxBlocks * kBlock,
           "[pattern] window_tokens must be between 1 and ", kMaxBlocks * kBlock - 1, ", found ",
           window_tokens, ".");
  Pattern pattern;
  pattern.window_tokens_ = window_tokens;
  return pattern;
}

Pattern Pattern::from_op(int64_t sink_blocks, int64_t window_blocks, int64_t stride_blocks,
                         std::vector<int64_t> stride_offsets, int64_t window_tokens,
                         int64_t num_kv_heads) {
  if (window_tokens != 0) {
    LG_CHECK(sink_blocks == 0 && window_blocks == kFullWindow && stride_blocks == 0 &&
                 stride_offsets.empty(),
             "[pattern] window_tokens ", window_tokens, " stands alone: expected sink_blocks 0, ",
             "window_blocks -1, stride_blocks 0 and no stride_offsets beside it, found ",
             sink_blocks, ", ", window_blocks, ", ", stride_blocks, " and ", stride_offsets.size(),
             ".");
    return window(window_tokens);
  }
  if (window_blocks == kFullWindow) return Pattern();
  return sparse(sink_blocks, window_blocks, stride_blocks, std::move(stride_offsets))
      .for_heads(num_kv_heads);
}

Pattern Pattern::parse(std::string_view text) {
  constexpr std::string_view kTokens = "window_tokens";
  if (text == "full") return Pattern();
  if (text.starts_with(kTokens) && text.substr(kTokens.size()).starts_with('=')) {
    return window(parse_number(kTokens, "tokens", text.substr(kTokens.size() + 1), text));
  }
  return parse_blocks(text, "full, window_tokens=N, ");
}

Pattern Pattern::parse_sparse(std::string_view text) {
  LG_CHECK(
      text != "full",
      "[pattern] 'full' is full attention. Expected a sparse pattern: sink, blocksparse, wide, or "
      "sink=S,window=W,stride=N; a model without sparse layers has the layers 'all'.");
  return parse_blocks(text, "");
}

Pattern Pattern::for_heads(int64_t num_kv_heads) const {
  LG_CHECK(num_kv_heads > 0, "[pattern] number of KV heads must be positive, found ", num_kv_heads,
           ".");
  Pattern result = *this;
  if (stride_blocks_ == 0) return result;
  if (stride_offsets_.empty()) {
    const int64_t step = std::max<int64_t>(1, stride_blocks_ / num_kv_heads);
    for (int64_t head = 0; head < num_kv_heads; ++head) {
      result.stride_offsets_.push_back(head * step % stride_blocks_);
    }
  }
  LG_CHECK(static_cast<int64_t>(result.stride_offsets_.size()) == num_kv_heads,
           "[pattern] expected one stride offset ", "for each of ", num_kv_heads,
           " KV heads, found ", result.stride_offsets_.size(), ".");
  return result;
}

bool Pattern::on_stride(int64_t key_block, int64_t kv_head) const {
  return stride_blocks_ > 0 && (key_block + stride_offsets_.at(kv_head)) % stride_blocks_ == 0;
}

int64_t Pattern::reach_blocks() const {
  // The last token of block j is window_tokens - 1 before the last query that sees it.
  return is_window() ? (window_tokens_ + kBlock - 2) / kBlock + 1 : window_blocks_;
}

int64_t Pattern::first_in_window(int64_t query) const {
  return std::max<int64_t>(0, query - window_tokens_ + 1);
}

bool Pattern::sees(int64_t query, int64_t key, int64_t kv_head) const {
  if (is_window()) return key <= query && query - key < window_tokens_;
  return key <= query && keeps(query / kBlock, key / kBlock, kv_head);
}

bool Pattern::keeps(int64_t query_block, int64_t key_block, int64_t kv_head) const {
  if (key_block > query_block) return false;
  return is_full() || key_block < sink_blocks_ || query_block - key_block < reach_blocks() ||
         on_stride(key_block, kv_head);
}

bool Pattern::live(int64_t key_block, int64_t kv_head, int64_t num_tokens) const {
  if (is_full() || key_block < sink_blocks_ || on_stride(key_block, kv_head)) return true;
  if (is_window()) return first_in_window(num_tokens) / kBlock <= key_block;
  return std::max(num_tokens / kBlock, key_block) - key_block < window_blocks_;
}

int64_t Pattern::count_stride(int64_t begin, int64_t end, int64_t kv_head) const {
  if (stride_blocks_ == 0 || end <= begin) return 0;
  const int64_t offset = stride_offsets_.at(kv_head);
  return ceil_div(end + offset, stride_blocks_) - ceil_div(begin + offset, stride_blocks_);
}

int64_t Pattern::oldest_in_window(int64_t num_tokens) const {
  const int64_t num_blocks = ceil_div(num_tokens, kBlock);
  if (is_full()) return num_blocks;
  if (is_window()) return first_in_window(num_tokens) / kBlock;
  return std::clamp<int64_t>(num_tokens / kBlock - window_blocks_ + 1, 0, num_blocks);
}

int64_t Pattern::live_blocks(int64_t num_tokens, int64_t kv_head) const {
  const int64_t num_blocks = ceil_div(num_tokens, kBlock);
  if (is_full()) return num_blocks;
  const int64_t sinks = std::min(sink_blocks_, num_blocks);
  const int64_t near = std::max(oldest_in_window(num_tokens), sinks);
  return sinks + count_stride(sinks, near, kv_head) + num_blocks - near;
}

int64_t Pattern::pairs_before(int64_t end, int64_t kv_head) const {
  if (is_full()) return end * (end + 1) / 2;
  if (is_window()) return ramp_sum(end + 1, 0, window_tokens_);  // query t sees min(t + 1, window)
  const int64_t whole = end / kBlock;
  const int64_t rest = end % kBlock;
  // Blocks before the diagonal: query block i sees min(i, sink) sinks, up to window - 1 window
  // blocks that are not sinks, and the stride blocks in [sink, i - window + 1).
  const int64_t reach = std::max<int64_t>(window_blocks_, 1) - 1;
  // The same over query blocks [0, n): each stride block j counts once for every i > j + reach.
  const auto stride_sum = [&](int64_t n) {
    const int64_t last = n - reach - 1;  // stride blocks below it are seen at least once
    const int64_t count = count_stride(sink_blocks_, last, kv_head);
    if (count == 0) return int64_t{0};
    const int64_t offset = stride_offsets_.at(kv_head);
    const int64_t first = ceil_div(sink_blocks_ + offset, stride_blocks_) * stride_blocks_ - offset;
    return count * (last - first) - stride_blocks_ * (count * (count - 1) / 2);
  };
  const auto blocks_before = [&](int64_t n) {
    return ramp_sum(n, 0, sink_blocks_) + ramp_sum(n, sink_blocks_, reach) + stride_sum(n);
  };
  const auto diagonals = [&](int64_t n) {
    if (window_blocks_ > 0) return n;
    const int64_t sinks = std::min(sink_blocks_, n);
    return sinks + count_stride(sinks, n, kv_head);
  };
  const int64_t before = blocks_before(whole);
  const int64_t before_last = blocks_before(whole + 1) - before;
  const int64_t diagonal_last = diagonals(whole + 1) - diagonals(whole);
  return kBlock * kBlock * before + kBlock * (kBlock + 1) / 2 * diagonals(whole) +
         rest * kBlock * before_last + diagonal_last * (rest * (rest + 1) / 2);
}

int64_t Pattern::visited_pairs(int64_t begin, int64_t end, int64_t kv_head) const {
  return pairs_before(end, kv_head) - pairs_before(begin, kv_head);
}

std::vector<int64_t> Pattern::visible_blocks(int64_t query_block, int64_t kv_head) const {
  return visible_blocks(query_block, query_block, kv_head);
}

std::vector<int64_t> Pattern::visible_blocks(int64_t first_query_block, int64_t last_query_block,
                                             int64_t kv_head) const {
  const int64_t end = last_query_block + 1;
  const int64_t near =
      is_full() ? 0 : std::clamp<int64_t>(first_query_block - reach_blocks() + 1, 0, end);
  std::vector<int64_t> blocks;
  for (int64_t j = 0; j < std::min(sink_blocks_, near); ++j) blocks.push_back(j);
  if (stride_blocks_ > 0) {
    const int64_t offset = stride_offsets_.at(kv_head);
    int64_t j =
        ceil_div(std::min(sink_blocks_, near) + offset, stride_blocks_) * stride_blocks_ - offset;
    for (; j < near; j += stride_blocks_) blocks.push_back(j);
  }
  for (int64_t j = near; j < end; ++j) {
    // With a window of 0 blocks the near range is the diagonal alone, which only sink and
    // stride blocks have.
    if (is_full() || reach_blocks() > 0 || j < sink_blocks_ || on_stride(j, kv_head))
      blocks.push_back(j);
  }
  return blocks;
}

std::vector<int64_t> Pattern::blocks_seen(int64_t first_query, int64_t last_query,
                                          int64_t kv_head) const {
  if (!is_window()) return visible_blocks(first_query / kBlock, last_query / kBlock, kv_head);
  std::vector<int64_t> blocks;
  for (int64_t j = first_in_window(first_query) / kBlock; j <= last_query / kBlock; ++j) {
    blocks.push_back(j);
  }
  return blocks;
}

std::string Pattern::to_string() const {
  if (is_full()) return "full";
  if (is_window()) return "window_tokens=" + std::to_string(window_tokens_);
  return "sink=" + std::to_string(sink_blocks_) + ",window=" + std::to_string(window_blocks_) +
         ",stride=" + std::to_string(stride_blocks_);
}

}  // namespace longgen
