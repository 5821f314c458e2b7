// eval/buckets.h: what is measured by position in a document, and how sure it is.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "longgen/report/interval.h"

namespace longgen {

/// Gives 0, first, 2 first, 4 first, ... up to length, which ends the last bucket wherever it
/// falls. Throws Error unless 0 < first and 0 < length.
std::vector<int64_t> doubling_edges(int64_t first_tokens, int64_t length_tokens);

/// Gives 0, bucket, 2 bucket, ... up to length; the last may be shorter. At most kMaxBuckets.
std::vector<int64_t> uniform_edges(int64_t bucket_tokens, int64_t length_tokens);

inline constexpr int64_t kMaxBuckets = 100'000;

struct BucketSummary {
  int64_t begin = 0, end = 0;  ///< positions [begin, end)
  int64_t num_tokens = 0;      ///< seen there; 0 leaves everything below unset
  int64_t num_documents = 0;   ///< with at least one token there
  double mean_nll = 0;         ///< nats a token, over all tokens
  double perplexity = 0;       ///< exp(mean_nll)
  /// The 95% interval of the mean; unset for fewer than two documents. Documents, not tokens, are
  /// the independent draws: this is the normal approximation to the ratio sum of NLL / number of
  /// tokens over documents. For documents that fill the bucket that is mean +- 1.96 * standard
  /// error of the documents' means. With few documents (below about ten) it is somewhat too narrow.
  std::optional<Interval> mean_nll_interval;
  std::optional<Interval> perplexity_interval;  ///< exp() of the one above
};

/// Log-probabilities of tokens, gathered by the token's position in its document.
class PositionBuckets {
 public:
  /// The edges ascend strictly from 0 and make at least one bucket. Throws Error otherwise.
  explicit PositionBuckets(std::vector<int64_t> edges);

  /// Adds a token of the current document, in any order: its position in [0, length) and its
  /// log-probability in nats, finite and not above 0 (but for rounding). Throws Error otherwise.
  void add(int64_t position, double logprob);
  /// Adds tokens at first_position, first_position + 1, ...
  void add(int64_t first_position, std::span<const float> logprobs);
  /// Ends a document: tokens added next belong to another one. One without tokens leaves no trace.
  void end_document();
  /// Adds the documents of `other`. Both must have the same edges, and no document may be open in
  /// either. The result does not depend on the order, but for rounding.
  void merge(const PositionBuckets& other);

  const std::vector<int64_t>& edges() const { return edges_; }
  int64_t num_buckets() const { return static_cast<int64_t>(edges_.size()) - 1; }
  int64_t num_documents() const { return static_cast<int64_t>(documents_.size()); }
  /// Summarizes a bucket over the documents ended so far.
  BucketSummary bucket(int64_t i) const;
  /// Summarizes all positions together.
  BucketSummary overall() const;

 private:
  struct Sum {
    double nll = 0;
    int64_t num_tokens = 0;
  };
  using Document = std::vector<Sum>;  // one entry a bucket

  BucketSummary summarize(int64_t first, int64_t last) const;

  std::vector<int64_t> edges_;
  std::vector<Document> documents_;
  Document current_;
  bool open_ = false;
};

}  // namespace longgen
