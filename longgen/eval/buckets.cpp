#include "longgen/eval/buckets.h"

#include <algorithm>
#include <cmath>

#include "longgen/base/check.h"

namespace longgen {
namespace {

// A log-softmax in fp32 over a large vocabulary can come out this far above 0.
constexpr double kLogprobRounding = 1e-3;

}  // namespace

std::vector<int64_t> doubling_edges(int64_t first_tokens, int64_t length_tokens) {
  LG_CHECK(first_tokens > 0 && length_tokens > 0,
           "[doubling_edges] expected a first bucket and a length of at least 1 token, found ",
           first_tokens, " and ", length_tokens, ".");
  std::vector<int64_t> edges = {0};
  for (int64_t edge = first_tokens; edge < length_tokens; edge *= 2) {
    edges.push_back(edge);
    if (edge > length_tokens / 2) break;  // the next one would pass the length, or overflow
  }
  edges.push_back(length_tokens);
  return edges;
}

std::vector<int64_t> uniform_edges(int64_t bucket_tokens, int64_t length_tokens) {
  LG_CHECK(bucket_tokens > 0 && length_tokens > 0,
           "[uniform_edges] expected a bucket and a length of at least 1 token, found ",
           bucket_tokens, " and ", length_tokens, ".");
  const int64_t whole = length_tokens / bucket_tokens;
  const int64_t num_buckets = whole + (length_tokens % bucket_tokens != 0 ? 1 : 0);
  LG_CHECK(num_buckets <= kMaxBuckets, "[uniform_edges] ", length_tokens, " tokens in buckets of ",
           bucket_tokens, " are ", num_buckets, " buckets, expected at most ", kMaxBuckets,
           ". Choose larger buckets.");
  std::vector<int64_t> edges;
  for (int64_t i = 0; i < num_buckets; ++i) edges.push_back(i * bucket_tokens);
  edges.push_back(length_tokens);
  return edges;
}

PositionBuckets::PositionBuckets(std::vector<int64_t> edges) : edges_(std::move(edges)) {
  LG_CHECK(edges_.size() >= 2, "[buckets] edges: expected at least two, found ", edges_.size(),
           ".");
  LG_CHECK(edges_.front() == 0, "[buckets] edges: expected the first to be 0, found ",
           edges_.front(), ".");
  for (size_t i = 1; i < edges_.size(); ++i) {
    LG_CHECK(edges_[i] > edges_[i - 1], "[buckets] edges: expected ascending positions, found ",
             edges_[i], " after ", edges_[i - 1], ".");
  }
  current_.resize(edges_.size() - 1);
}

void PositionBuckets::add(int64_t position, double logprob) {
  LG_CHECK(position >= 0 && position < edges_.back(), "[buckets] position: expected 0 to ",
           edges_.back() - 1, ", found ", position, ".");
  LG_CHECK(std::isfinite(logprob) && logprob <= kLogprobRounding,
           "[buckets] log-probability at position ", position,
           ": expected a finite number that is not above 0, found ", logprob, ".");
  const auto after = std::upper_bound(edges_.begin(), edges_.end(), position);
  NllSum& sum = current_[static_cast<size_t>(after - edges_.begin()) - 1];
  sum.nll -= logprob;
  ++sum.num_tokens;
  open_ = true;
}

void PositionBuckets::add(int64_t first_position, std::span<const float> logprobs) {
  for (size_t i = 0; i < logprobs.size(); ++i) {
    add(first_position + static_cast<int64_t>(i), logprobs[i]);
  }
}

void PositionBuckets::end_document() {
  if (!open_) return;
  documents_.push_back(current_);
  std::fill(current_.begin(), current_.end(), NllSum{});
  open_ = false;
}

void PositionBuckets::merge(const PositionBuckets& other) {
  LG_CHECK(edges_ == other.edges_, "[buckets] merge: expected the same edges on both sides, found ",
           num_buckets(), " buckets up to ", edges_.back(), " and ", other.num_buckets(), " up to ",
           other.edges_.back(), ".");
  LG_CHECK(!open_ && !other.open_,
           "[buckets] merge: a document is still open. Call end_document() first.");
  const std::vector<Document> added = other.documents_;  // `other` may be *this
  documents_.insert(documents_.end(), added.begin(), added.end());
}

void PositionBuckets::check_bucket(int64_t i) const {
  LG_CHECK(i >= 0 && i < num_buckets(), "[buckets] bucket: expected 0 to ", num_buckets() - 1,
           ", found ", i, ".");
}

BucketSummary PositionBuckets::bucket(int64_t i) const {
  check_bucket(i);
  return summary_of(i, i + 1);
}

BucketSummary PositionBuckets::overall() const { return summary_of(0, num_buckets()); }

std::vector<NllSum> PositionBuckets::documents(int64_t i) const {
  check_bucket(i);
  return sums(i, i + 1);
}

std::vector<NllSum> PositionBuckets::documents() const { return sums(0, num_buckets()); }

std::vector<NllSum> PositionBuckets::sums(int64_t first, int64_t last) const {
  std::vector<NllSum> sums;
  for (const Document& document : documents_) {
    NllSum sum;
    for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i) {
      sum.nll += document[i].nll;
      sum.num_tokens += document[i].num_tokens;
    }
    sums.push_back(sum);
  }
  return sums;
}

BucketSummary PositionBuckets::summary_of(int64_t first, int64_t last) const {
  return {summarize(sums(first, last)), edges_[static_cast<size_t>(first)],
          edges_[static_cast<size_t>(last)]};
}

}  // namespace longgen
